/** The page that `bitwright eval -o` and `compare -o` write: the report in it, and everything that shows it. */
import "./style.css";
import { render } from "preact";
import { ReportBody } from "./report/report";
import { isComparison, type Report } from "./report/types";

const report: Report = JSON.parse(document.getElementById("report")!.textContent!);

render(
  <main>
    <article>
      <h1>{isComparison(report) ? "Models compared" : `What ${report.model.name} lost`}</h1>
      <ReportBody report={report} />
    </article>
  </main>,
  document.getElementById("page")!,
);
