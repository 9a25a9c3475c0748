/** Many small buttons in a grid: one stop for the Tab key, arrow keys move inside. */
import type { ComponentChildren } from "preact";
import { useRef } from "preact/hooks";

interface CellsProps {
  label: string;
  count: number;
  columns: number;
  current: number; // the cell that Tab reaches
  onPick: (index: number) => void;
  onHover?: (index: number | null) => void;
  name: (index: number) => string; // for those who do not see it
  look: (index: number) => string; // classes
  children: (index: number) => ComponentChildren;
  id?: string;
}

export function Cells({ label, count, columns, current, onPick, onHover, name, look, children, id }: CellsProps) {
  const ref = useRef<HTMLDivElement>(null);
  const reached = current >= 0 && current < count ? current : 0;
  const go = (index: number) => {
    if (index < 0 || index >= count) return;
    onPick(index);
    (ref.current?.children[index] as HTMLElement | undefined)?.focus();
  };
  const steps: Record<string, number> = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns, ArrowUp: -columns };
  return (
    <div class="cells" ref={ref} role="group" aria-label={label} data-control={id} data-columns={columns} onPointerLeave={() => onHover?.(null)}>
      {Array.from({ length: count }, (_, index) => (
        <button
          key={index}
          type="button"
          class={look(index)}
          tabIndex={index === reached ? 0 : -1}
          aria-label={name(index)}
          aria-pressed={index === current}
          data-cell={index}
          onClick={() => onPick(index)}
          onPointerEnter={(event) => event.pointerType === "mouse" && onHover?.(index)}
          onKeyDown={(event) => {
            const by = steps[event.key];
            if (by) go(index + by);
            else if (event.key === "Home") go(0);
            else if (event.key === "End") go(count - 1);
            else return;
            event.preventDefault();
          }}
        >
          {children(index)}
        </button>
      ))}
    </div>
  );
}
