/** The Markdown that models write, as elements: code, headings, lists, emphasis. All else stays the text it is. Text
 * becomes text nodes only, so nothing in it is ever run, and links are not followed. */
import type { ComponentChildren } from "preact";

const FENCE = /^\s*(`{3,}|~{3,})\s*([\w+#.-]*)[^`]*$/;
const HEADING = /^#{1,6}\s+(.*)$/;
const ITEM = /^(\s*)(?:[-*+]|(\d{1,9})[.)])\s+(.*)$/;
const INLINE = /(`+)(.+?)\1(?!`)|\*\*(?=\S)(.+?)\*\*|\*(?=[^\s*])([^*]+?)\*/g;

/** A line with its code and emphasis. */
function inline(text: string): ComponentChildren[] {
  const found: ComponentChildren[] = [];
  let end = 0;
  for (const match of text.matchAll(INLINE)) {
    found.push(text.slice(end, match.index));
    if (match[2] !== undefined) found.push(<code>{match[2]}</code>);
    else if (match[3] !== undefined) found.push(<strong>{match[3]}</strong>);
    else found.push(<em>{match[4]}</em>);
    end = match.index + match[0].length;
  }
  return [...found, text.slice(end)];
}

/** The lines from `start` on that `belongs` holds for. */
function run(lines: string[], start: number, belongs: (line: string) => boolean): string[] {
  let end = start;
  while (end < lines.length && belongs(lines[end])) end++;
  return lines.slice(start, end);
}

/** Lists of the items in `lines`. Those further in than the item before them are lists within it. */
function lists(lines: string[]): ComponentChildren[] {
  const items = lines.map((line) => line.match(ITEM)!);
  const depth = (at: number) => items[at][1].replaceAll("\t", "    ").length;
  const found: ComponentChildren[] = [];
  for (let at = 0; at < lines.length; ) {
    const [start, number] = [at, items[at][2]];
    const own: ComponentChildren[] = [];
    while (at < lines.length && !items[at][2] === !number) {
      let end = at + 1;
      while (end < lines.length && depth(end) > depth(start) + 1) end++;
      own.push(<li>{inline(items[at][3])}{lists(lines.slice(at + 1, end))}</li>);
      at = end;
    }
    found.push(number ? <ol start={Number(number)}>{own}</ol> : <ul>{own}</ul>);
  }
  return found;
}

export function Markdown({ text }: { text: string }) {
  const lines = text.split("\n");
  const found: ComponentChildren[] = [];
  for (let at = 0; at < lines.length; ) {
    const fence = lines[at].match(FENCE);
    const heading = lines[at].match(HEADING);
    if (fence) {
      const code = run(lines, at + 1, (line) => !line.trim().startsWith(fence[1]));
      found.push(<pre tabIndex={0} role="group" aria-label={fence[2] ? `Code, ${fence[2]}` : "Code"}><code>{code.join("\n")}</code></pre>);
      at += code.length + 2;
    } else if (ITEM.test(lines[at])) {
      const items = run(lines, at, (line) => ITEM.test(line));
      found.push(lists(items));
      at += items.length;
    } else if (heading) {
      found.push(<p><strong>{inline(heading[1])}</strong></p>);
      at++;
    } else if (!lines[at].trim()) at++;
    else {
      const plain = (line: string) => !!line.trim() && ![FENCE, ITEM, HEADING].some((kind) => kind.test(line));
      const paragraph = run(lines, at, plain);
      found.push(<p>{paragraph.flatMap((line, index) => (index ? [<br />, ...inline(line)] : inline(line)))}</p>);
      at += paragraph.length;
    }
  }
  return <>{found}</>;
}
