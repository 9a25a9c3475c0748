/** The Markdown that models write, as elements: code, headings, lists, emphasis. All else stays the text it is. Text
 * becomes text nodes only, so nothing in it is ever run, and links are not followed. */
import type { ComponentChildren } from "preact";

const FENCE = /^\s*(`{3,}|~{3,})\s*([\w+#.-]*)[^`]*$/;
const HEADING = /^#{1,6}\s+(.*)$/;
const ITEM = /^\s*(?:[-*+]|(\d{1,9})[.)])\s+(.*)$/;
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

export function Markdown({ text }: { text: string }) {
  const lines = text.split("\n");
  const found: ComponentChildren[] = [];
  for (let at = 0; at < lines.length; ) {
    const fence = lines[at].match(FENCE);
    const item = lines[at].match(ITEM);
    const heading = lines[at].match(HEADING);
    if (fence) {
      const code = run(lines, at + 1, (line) => !line.trim().startsWith(fence[1]));
      found.push(<pre tabIndex={0} role="group" aria-label={fence[2] ? `Code, ${fence[2]}` : "Code"}><code>{code.join("\n")}</code></pre>);
      at += code.length + 2;
    } else if (item) {
      const items = run(lines, at, (line) => ITEM.test(line)).map((line) => <li>{inline(line.match(ITEM)![2])}</li>);
      found.push(item[1] ? <ol start={Number(item[1])}>{items}</ol> : <ul>{items}</ul>);
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
