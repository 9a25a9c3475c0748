/** The shell: the table of contents and the open chapter. */
import "./style.css";
import { render, type FunctionComponent } from "preact";
import { useEffect, useErrorBoundary, useRef, useState } from "preact/hooks";
import { CHAPTERS } from "./chapters";
import { useData, type Site } from "./data";
import { whole } from "./numbers";
import { address, place } from "./state";

function Contents({ current }: { current: string }) {
  const dialog = useRef<HTMLDetailsElement>(null);
  useEffect(() => void dialog.current?.removeAttribute("open"), [current]);
  const list = (
    <ol>
      {CHAPTERS.map(({ id, title, about }) => (
        <li key={id}>
          <a href={address(id)} aria-current={id === current ? "page" : undefined}>
            {title}
            <small>{about}</small>
          </a>
        </li>
      ))}
    </ol>
  );
  return (
    <nav aria-label="Chapters">
      <div class="wide">{list}</div>
      <details class="narrow" ref={dialog}>
        <summary>Chapters</summary>
        {list}
      </details>
    </nav>
  );
}

function About() {
  const { value } = useData<Site>("site");
  if (!value) return null;
  const { name, parameters } = value.model;
  return (
    <p class="about">
      {name}, {whole(parameters)} parameters
    </p>
  );
}

function Missing() {
  return <p class="problem">There is no such chapter. Pick one from the list.</p>;
}

/** A chapter, or what went wrong in it. */
function Safely({ Body }: { Body: FunctionComponent }) {
  const [error] = useErrorBoundary();
  if (error) return <p class="problem" role="alert">This chapter cannot show what it was given: {String(error.message ?? error)}</p>;
  return <Body />;
}

function Shell() {
  const index = place.value.chapter ? CHAPTERS.findIndex(({ id }) => id === place.value.chapter) : 0;
  const entry = CHAPTERS[index];
  const [open, setOpen] = useState<{ id: string; Body: FunctionComponent }>();
  useEffect(() => {
    if (!entry) return;
    let current = true;
    entry.load().then((module) => {
      if (!current) return;
      setOpen({ id: entry.id, Body: module.default });
      document.title = `${entry.title} · Quantization, on your own model`;
      document.documentElement.dataset.chapter = entry.id; // says that the chapter is there
    });
    return () => void (current = false);
  }, [entry]);
  useEffect(() => {
    if (open) scrollTo(0, 0);
  }, [open?.id]);
  const [before, after] = [CHAPTERS[index - 1], CHAPTERS[index + 1]];
  return (
    <>
      <a class="skip" href="#main" onClick={(event) => (event.preventDefault(), document.getElementById("main")?.focus())}>
        Skip to the chapter
      </a>
      <header>
        <p class="title">Quantization, on your own model</p>
        <About />
        <Contents current={entry?.id ?? ""} />
      </header>
      <main id="main" tabIndex={-1}>
        {!entry ? <Missing /> : open?.id === entry.id ? <Safely key={open.id} Body={open.Body} /> : <p class="waiting" role="status">Loading…</p>}
        <footer>
          {before && <a href={address(before.id)} rel="prev">← {before.title}</a>}
          {after && <a href={address(after.id)} rel="next">{after.title} →</a>}
        </footer>
      </main>
    </>
  );
}

render(<Shell />, document.getElementById("app")!);
