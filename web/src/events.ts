/** The data of server-sent events, one by one; comments are left out. */
export async function* events(response: Response): AsyncGenerator<string> {
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
  let held = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const found = (held + value).split("\n\n");
    held = found.pop()!;
    for (const event of found) if (event.startsWith("data: ")) yield event.slice(6);
  }
}
