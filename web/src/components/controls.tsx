/** Controls: each works with pointer, touch and keyboard, and says its value. */
import type { ComponentChildren } from "preact";
import { useId, useRef } from "preact/hooks";
import { short } from "../numbers";

interface SliderProps {
  label: string;
  value: number;
  min: number;
  max: number;
  step?: number;
  onInput: (value: number) => void;
  text?: (value: number) => string;
  id?: string; // for tests
}

export function Slider({ label, value, min, max, step = (max - min) / 200, onInput, text = short, id }: SliderProps) {
  const own = useId();
  return (
    <div class="slider">
      <label for={own}>{label}</label>
      <output for={own}>{text(value)}</output>
      <input
        id={own}
        data-control={id}
        type="range"
        min={min}
        max={max}
        step={step}
        value={value}
        aria-valuetext={text(value)}
        onInput={(event) => onInput(event.currentTarget.valueAsNumber)}
      />
    </div>
  );
}

export interface Option<T extends string> {
  value: T;
  label: string;
}

interface ChoiceProps<T extends string> {
  label: string;
  options: readonly Option<T>[];
  value: T;
  onChange: (value: T) => void;
  id?: string;
}

/** A few alternatives, all seen. */
export function Choice<T extends string>({ label, options, value, onChange, id }: ChoiceProps<T>) {
  const name = useId();
  return (
    <fieldset class="choice" data-control={id}>
      <legend>{label}</legend>
      <div>
        {options.map((option) => (
          <label key={option.value}>
            <input type="radio" name={name} value={option.value} checked={option.value === value} onChange={() => onChange(option.value)} />
            <span>{option.label}</span>
          </label>
        ))}
      </div>
    </fieldset>
  );
}

/** One of many. */
export function Select<T extends string>({ label, options, value, onChange, id }: ChoiceProps<T>) {
  const own = useId();
  return (
    <div class="select">
      <label for={own}>{label}</label>
      <select id={own} data-control={id} value={value} onChange={(event) => onChange(event.currentTarget.value as T)}>
        {options.map((option) => (
          <option key={option.value} value={option.value}>
            {option.label}
          </option>
        ))}
      </select>
    </div>
  );
}

export function Toggle({ label, value, onChange, id }: { label: string; value: boolean; onChange: (value: boolean) => void; id?: string }) {
  return (
    <label class="toggle">
      <input data-control={id} type="checkbox" checked={value} onChange={(event) => onChange(event.currentTarget.checked)} />
      <span>{label}</span>
    </label>
  );
}

export function Button({ children, onClick, disabled, id }: { children: ComponentChildren; onClick: () => void; disabled?: boolean; id?: string }) {
  return (
    <button type="button" data-control={id} onClick={onClick} disabled={disabled}>
      {children}
    </button>
  );
}

interface ScrubProps {
  label: string;
  value: number;
  min: number;
  max: number;
  step: number;
  onInput: (value: number) => void;
  text?: (value: number) => string;
  pixels?: number; // to drag for one step
  id?: string;
}

/** A number inside a sentence that can be dragged, or stepped with the arrow keys. */
export function Scrub({ label, value, min, max, step, onInput, text = short, pixels = 8, id }: ScrubProps) {
  const from = useRef<{ x: number; value: number } | null>(null);
  const set = (next: number) => onInput(Math.min(max, Math.max(min, Math.round((next - min) / step) * step + min)));
  const steps: Record<string, number> = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1, PageUp: 10, PageDown: -10 };
  return (
    <span
      class="scrub"
      role="slider"
      tabIndex={0}
      data-control={id}
      aria-label={label}
      aria-valuemin={min}
      aria-valuemax={max}
      aria-valuenow={value}
      aria-valuetext={text(value)}
      onKeyDown={(event) => {
        const by = steps[event.key];
        if (by) set(value + by * step);
        else if (event.key === "Home") set(min);
        else if (event.key === "End") set(max);
        else return;
        event.preventDefault();
      }}
      onPointerDown={(event) => {
        event.currentTarget.setPointerCapture(event.pointerId);
        from.current = { x: event.clientX, value };
      }}
      onPointerMove={(event) => from.current && set(from.current.value + Math.round((event.clientX - from.current.x) / pixels) * step)}
      onPointerUp={() => (from.current = null)}
      onPointerCancel={() => (from.current = null)}
    >
      {text(value)}
    </span>
  );
}
