"""Terminal and agent turns: a task, the commands tried so far and what they printed; the next turn is the model's."""

from __future__ import annotations

from bitwright.measure.horizon.draw import NAMES, Draw

OPENING = (
    "You are an agent in a Linux shell. Each of your turns is one short thought and one command in a code block; the "
    "next message is what the command printed. Task: "
)
PROJECTS = ("tidewatch", "inkwell", "beaconry", "quillsort", "hopper", "lanternd", "marrow", "pactl-web", "orchardctl",
            "sieve", "tallybook", "wharf")  # fmt: skip
MODULES = ("parser", "ledger", "session", "router", "cache", "schedule", "export", "quota", "index", "mailer")


def turns(d: Draw, family: int) -> list[str]:
    """User and assistant in turn, the user last."""
    return FAMILIES[family % len(FAMILIES)](d)


def _command(thought: str, command: str) -> str:
    return f"{thought}\n\n```sh\n{command}\n```"


def _failing_test(d: Draw) -> list[str]:
    project, module, other = d.of(PROJECTS), *d.some(MODULES, 2)
    line, got, want = d.between(21, 240), d.between(3, 60), d.between(61, 99)
    function = d.of(("merge_windows", "next_slot", "parse_amount", "trim_history", "resolve_route", "rank_entries"))
    return [
        f"{OPENING}`make check` fails in /srv/{project} since this morning. Find the cause and mend it.",
        _command("First I look at which test fails.", f"cd /srv/{project} && make check 2>&1 | tail -n 12"),
        f"tests/test_{other}.py ........                                  [ 38%]\n"
        f"tests/test_{module}.py ....F..                                  [100%]\n\n"
        f"    def test_{function}_keeps_the_last_entry():\n"
        f">       assert {function}([4, {got}, 9], limit={want}) == {want}\n"
        f"E       assert {got} == {want}\n\n"
        f"tests/test_{module}.py:{line}: AssertionError\n"
        f"1 failed, {d.between(20, 90)} passed in {d.between(1, 9)}.{d.between(10, 99)} s",
        _command(f"One test of `{function}` fails. I read the function.", f"grep -n -A9 'def {function}' {module}.py"),
        f"{line - 12}:def {function}(values, limit):\n"
        f"{line - 11}-    best = values[0]\n"
        f"{line - 10}-    for value in values[1:-1]:\n"
        f"{line - 9}-        if best < value <= limit:\n"
        f"{line - 8}-            best = value\n"
        f"{line - 7}-    return best",
    ]


def _full_disk(d: Draw) -> list[str]:
    host, project = d.of(("relay-2", "kiosk", "buildbox", "mirror-east", "nas")), d.of(PROJECTS)
    size, used = d.of((20, 40, 80, 120)), d.between(96, 99)
    logs = [f"{d.between(1, 9)}.{d.between(0, 9)}G\t/var/log/{p}" for p in d.some(PROJECTS, 4)]
    return [
        f"{OPENING}the machine {host} reports a full disk. Free at least {d.between(3, 9)} GB without deleting "
        f"anything that {project} still needs.",
        _command("How full is it, and where?", "df -h / /var /home"),
        f"Filesystem      Size  Used Avail Use% Mounted on\n"
        f"/dev/vda1        {size}G   {size * used // 100}G  {size - size * used // 100}G  {used}% /\n"
        f"/dev/vda1        {size}G   {size * used // 100}G  {size - size * used // 100}G  {used}% /\n"
        f"/dev/vdb1       {4 * size}G   {size}G  {3 * size}G  25% /home",
        _command("The root is full; logs are the usual cause.", "du -sh /var/log/* | sort -rh | head -n 5"),
        "\n".join(sorted(logs, reverse=True)) + f"\n{d.between(100, 900)}M\t/var/log/journal",
    ]


def _history(d: Draw) -> list[str]:
    project, module, who = d.of(PROJECTS), d.of(MODULES), d.some(NAMES, 4)
    hashes = [f"{d.between(1 << 24, (1 << 28) - 1):07x}" for _ in who]
    subjects = d.some((
        "Read the limit from the settings file", "Round half to even in totals", "Drop the retry on timeout",
        "Close the connection before the answer is parsed", "Sort entries by date, not by name",
        "Accept an empty list", "Cache the table of holidays", "Say which field is missing"), 4)  # fmt: skip
    days = [place + d.between(1, 3) for place in range(4)]
    commits = zip(hashes, who, days, subjects, strict=True)
    lines = [f"{hash} {author}, {age} days ago: {subject}" for hash, author, age, subject in commits]
    return [
        f"{OPENING}in the repository {project}, totals in {module}.py are off by one cent since last week. Say which "
        "commit did it and revert only that one.",
        _command("I list what changed this file lately.", f"git log --format='%h %an, %ar: %s' -n 4 -- {module}.py"),
        "\n".join(lines),
    ]


def _service(d: Draw) -> list[str]:
    unit, user, port = d.of(PROJECTS), d.of(NAMES).lower(), d.between(3000, 9800)
    when = f"{d.between(0, 23):02}:{d.between(0, 59):02}"
    reason = d.of((
        f"listen tcp 0.0.0.0:{port}: bind: address already in use",
        f"open /etc/{unit}/{unit}.toml: permission denied",
        f"could not connect to postgres://{user}@localhost:5432/{unit}: password authentication failed",
        f"unknown key 'max_conections' in /etc/{unit}/{unit}.toml, line {d.between(4, 40)}"))  # fmt: skip
    return [
        f"{OPENING}the service {unit} does not start after the reboot. Get it running on port {port}.",
        _command("I ask systemd what happened.", f"systemctl status {unit} --no-pager | head -n 8"),
        f"× {unit}.service - {unit} for {user}\n"
        f"     Loaded: loaded (/etc/systemd/system/{unit}.service; enabled)\n"
        f"     Active: failed (Result: exit-code) since Tue {when}:{d.between(10, 59)} UTC\n"
        f"    Process: {d.between(400, 9000)} ExecStart=/usr/bin/{unit} --port {port} (code=exited, status=1/FAILURE)",
        _command("The reason must be in its journal.", f"journalctl -u {unit} -n 3 --no-pager"),
        f"{when} {unit}[{d.between(400, 9000)}]: starting, version {d.between(0, 4)}.{d.between(0, 20)}\n"
        f"{when} {unit}[{d.between(400, 9000)}]: fatal: {reason}\n"
        f"{when} systemd[1]: {unit}.service: Failed with result 'exit-code'.",
    ]


def _table(d: Draw) -> list[str]:
    name = d.of(("orders", "readings", "visitors", "invoices", "parcels", "shifts"))
    column = d.of(("weight", "amount", "minutes", "pressure", "price"))
    rows = [f"{i + 1},{d.of(NAMES)},2026-0{d.between(1, 9)}-{d.between(10, 28)},{d.between(5, 990)}" for i in range(4)]
    rows[d.below(4)] += d.of((",", ".00 ", " kg", "?"))
    return [
        f"{OPENING}print the sum of the column {column} in {name}.csv for each month, oldest first. Some rows are "
        "damaged: count them and leave them out.",
        _command("I look at the file before I write anything.", f"wc -l {name}.csv; head -n 5 {name}.csv"),
        f"{d.between(900, 48000)} {name}.csv\nid,name,date,{column}\n" + "\n".join(rows),
    ]


def _tool_call(d: Draw) -> list[str]:
    city, days = d.of(("Tallinn", "Porto", "Nairobi", "Osaka", "Valparaíso", "Halifax")), d.between(2, 6)
    low, high, room = d.between(60, 90), d.between(91, 180), d.between(101, 420)
    return [
        'Answer with one JSON object {"tool": ..., "arguments": {...}} and nothing else. Tools: search_rooms(city, '
        "nights, most_per_night), book_room(room, nights, guest), send_note(to, text). Book the cheapest quiet room in "
        f"{city} for {d.of(NAMES)}, {days} nights, at most {high} a night, and send {d.of(NAMES)} a note about it.",
        f'{{"tool": "search_rooms", "arguments": {{"city": "{city}", "nights": {days}, "most_per_night": {high}}}}}',
        f'{{"rooms": [{{"room": {room}, "per_night": {high - d.between(1, 9)}, "street_side": false}}, '
        f'{{"room": {room + 7}, "per_night": {low}, "street_side": true}}, '
        f'{{"room": {room + 31}, "per_night": {low + d.between(1, 9)}, "street_side": false}}]}}',
    ]


FAMILIES = (_failing_test, _full_disk, _history, _service, _table, _tool_call)
