"""Code edits: a short source file and what to change in it."""

from __future__ import annotations

from bitwright.measure.horizon.draw import Draw

ASKS = (
    "Answer with the whole changed file in one code block.",
    "Answer with a unified diff.",
    "Show only the functions that change, then explain the change in one sentence.",
)
THINGS = ("parcel", "ticket", "reading", "tenant", "berth", "voucher", "sample", "shift", "pallet", "lesson")
FIELDS = ("weight", "priority", "minutes", "depth", "fee", "score", "rating", "pressure")


def turns(d: Draw, family: int) -> list[str]:
    """One message: the file and the task."""
    name, source, language, task = FAMILIES[family % len(FAMILIES)](d)
    return [f"This is `{name}`:\n\n```{language}\n{source}\n```\n\n{task} {d.of(ASKS)}"]


Edit = tuple[str, str, str, str]  # file name, source, language, task


def _python(d: Draw) -> Edit:
    thing, field, limit = d.of(THINGS), d.of(FIELDS), d.between(5, 400)
    source = f'''"""Keeps {thing}s in memory and finds the ones that are due."""
from dataclasses import dataclass, field


@dataclass
class {thing.title()}:
    id: int
    {field}: float
    tags: list = field(default_factory=list)


class {thing.title()}Store:
    def __init__(self, limit={limit}):
        self.limit = limit
        self.items = []

    def add(self, item):
        self.items.append(item)
        if len(self.items) > self.limit:
            self.items.pop(0)

    def heaviest(self, n=3):
        return sorted(self.items, key=lambda i: i.{field})[:n]

    def tagged(self, tag):
        return [i for i in self.items if tag in i.tags]'''
    task = d.of((
        f"`heaviest` returns the {thing}s with the smallest {field}. Mend that, and let it raise ValueError for n < 1.",
        "Make adding and removing by id take constant time, and keep the oldest-first rule of `limit`.",
        f"Add a method `total(tag)` that sums the {field} of the {thing}s with a tag, and type hints everywhere.",
        f"Refuse a second {thing} with the same id with a clear error, and write two tests for it."))  # fmt: skip
    return f"{thing}_store.py", source, "python", task


def _javascript(d: Draw) -> Edit:
    thing, field, seconds = d.of(THINGS), d.of(FIELDS), d.between(2, 90)
    source = f"""const cache = new Map();

export function load{thing.title()}s(url, onDone) {{
  if (cache.has(url)) {{
    onDone(null, cache.get(url));
    return;
  }}
  fetch(url)
    .then((response) => response.json())
    .then((rows) => {{
      const kept = rows.filter((row) => row.{field} > 0);
      cache.set(url, kept);
      onDone(null, kept);
    }})
    .catch((error) => onDone(error));
}}

export function average(rows) {{
  let sum = 0;
  for (let i = 0; i <= rows.length; i++) {{
    sum += rows[i].{field};
  }}
  return sum / rows.length;
}}"""
    task = d.of((
        "`average` throws at the end of every list. Find the mistake, and return null for an empty list.",
        f"Rewrite the loader with async and await, and let entries of the cache expire after {seconds} seconds.",
        f"Give the loader a timeout of {seconds} seconds and treat answers other than 2xx as errors.",
        "Two calls for the same url at the same time fetch twice. Let the second wait for the first."))  # fmt: skip
    return f"{thing}s.js", source, "js", task


def _go(d: Draw) -> Edit:
    thing, workers = d.of(THINGS), d.between(2, 24)
    source = f"""package {thing}

import (
\t"fmt"
\t"sync"
)

type Job struct {{
\tID   int
\tPath string
}}

func Process(jobs []Job, work func(Job) error) []error {{
\tvar group sync.WaitGroup
\tvar failed []error
\tfor _, job := range jobs {{
\t\tgroup.Add(1)
\t\tgo func() {{
\t\t\tdefer group.Done()
\t\t\tif err := work(job); err != nil {{
\t\t\t\tfailed = append(failed, fmt.Errorf("{thing} %d: %v", job.ID, err))
\t\t\t}}
\t\t}}()
\t}}
\tgroup.Wait()
\treturn failed
}}"""
    task = d.of((
        "Several goroutines append to `failed` at once. Make that safe and keep the errors in the order of the jobs.",
        f"Run at most {workers} jobs at a time.",
        "Stop starting jobs after the first error, take a context, and wrap errors so that errors.Is works.",
        f"Retry a job that fails up to {d.between(2, 5)} times with a growing pause."))  # fmt: skip
    return f"{thing}.go", source, "go", task


def _rust(d: Draw) -> Edit:
    thing, field, size = d.of(THINGS), d.of(FIELDS), d.between(8, 512)
    source = f"""pub struct Ring {{
    values: Vec<f64>,
    next: usize,
    full: bool,
}}

impl Ring {{
    pub fn new() -> Self {{
        Ring {{ values: vec![0.0; {size}], next: 0, full: false }}
    }}

    /// Records the {field} of one {thing}.
    pub fn push(&mut self, {field}: f64) {{
        self.values[self.next] = {field};
        self.next += 1;
        if self.next == {size} {{
            self.next = 0;
            self.full = true;
        }}
    }}

    pub fn mean(&self) -> f64 {{
        self.values.iter().sum::<f64>() / self.values.len() as f64
    }}
}}"""
    task = d.of((
        "`mean` is wrong until the ring is full, and for an empty ring. Mend both; return an Option.",
        "Make the ring generic over its size with a const parameter, without a heap allocation.",
        f"Add `largest(n)`, which returns the n largest values of {field} in falling order, without sorting the ring.",
        "Implement Iterator over the values from oldest to newest, with a test."))  # fmt: skip
    return "ring.rs", source, "rust", task


def _c(d: Draw) -> Edit:
    thing, most = d.of(THINGS), d.of((32, 64, 80, 128, 256))
    source = f"""#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct {thing} {{
    char name[{most}];
    int count;
    struct {thing} *next;
}};

struct {thing} *find(struct {thing} *head, const char *name) {{
    while (head && strcmp(head->name, name))
        head = head->next;
    return head;
}}

struct {thing} *count(struct {thing} *head, const char *name) {{
    struct {thing} *found = find(head, name);
    if (found) {{
        found->count++;
        return head;
    }}
    struct {thing} *fresh = malloc(sizeof *fresh);
    strcpy(fresh->name, name);
    fresh->count = 1;
    fresh->next = head;
    return fresh;
}}"""
    task = d.of((
        f"A name of {most} characters or more writes past the end. Refuse it; also check what malloc returns.",
        "Write the function that frees the list, and the one that removes a name.",
        f"Replace the list by a hash table of {d.of((64, 256, 1024))} buckets with the same two functions.",
        "Add a function that prints the entries by falling count, without changing the list."))  # fmt: skip
    return f"{thing}s.c", source, "c", task


def _sql(d: Draw) -> Edit:
    thing, field, day = d.of(THINGS), d.of(FIELDS), d.between(1, 28)
    source = f"""CREATE TABLE customer (id INTEGER PRIMARY KEY, name TEXT NOT NULL, region TEXT);
CREATE TABLE {thing} (
    id INTEGER PRIMARY KEY,
    customer_id INTEGER REFERENCES customer (id),
    {field} NUMERIC NOT NULL,
    made_on DATE NOT NULL
);

-- {field} by region since the {day}th, largest first
SELECT c.region, SUM(t.{field}) AS total
FROM {thing} t, customer c
WHERE t.made_on > '2026-0{d.between(1, 9)}-{day:02}'
GROUP BY c.region
ORDER BY total;"""
    task = d.of((
        "The query multiplies every total by the number of customers, and sorts the wrong way. Mend it.",
        f"Add to each region the customer with the largest {field}, and the share that customer has.",
        f"Customers without a {thing} should appear with 0. Also add the index that this query needs.",
        f"Write the migration that splits {field} into net and tax at {d.of((7, 19, 20, 25))}%."))  # fmt: skip
    return "report.sql", source, "sql", task


FAMILIES = (_python, _javascript, _go, _rust, _c, _sql)
