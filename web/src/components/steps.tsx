/** Something that goes on step by step: a slider, a button for each direction, and one that plays. */
import { useEffect, useRef, useState } from "preact/hooks";
import { Button, Slider } from "./controls";

interface StepsProps {
  label: string;
  value: number; // 0 to count
  count: number;
  onInput: (value: number) => void;
  text?: (value: number) => string;
  pause?: number; // milliseconds between steps
  id: string;
}

const still = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

/** Where less motion is wanted nothing plays by itself: the play button is not there. */
export function Steps({ label, value, count, onInput, text = (v) => `${v} of ${count}`, pause = 700, id }: StepsProps) {
  const [playing, setPlaying] = useState(false);
  const step = useRef(() => {});
  step.current = () => (value < count ? onInput(value + 1) : setPlaying(false));
  useEffect(() => {
    if (!playing) return;
    const timer = setInterval(() => step.current(), pause);
    return () => clearInterval(timer);
  }, [playing]);
  const go = (next: number) => (setPlaying(false), onInput(next));
  return (
    <div class="steps">
      <Slider id={id} label={label} min={0} max={count} step={1} value={value} onInput={go} text={text} />
      <Button id={`${id}-back`} disabled={value <= 0} onClick={() => go(value - 1)}>← back</Button>
      <Button id={`${id}-on`} disabled={value >= count} onClick={() => go(value + 1)}>step →</Button>
      {!still() && (
        <Button
          id={`${id}-play`}
          onClick={() => {
            if (!playing && value >= count) onInput(0);
            setPlaying(!playing);
          }}
        >
          {playing ? "pause" : "play"}
        </Button>
      )}
    </div>
  );
}
