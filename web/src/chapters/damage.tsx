/** Damage report: what `bitwright eval` and `compare` found, to explore. */
import { Chapter } from "../components/chapter";
import { Data } from "../data";
import { ReportBody } from "../report/report";
import type { Report } from "../report/types";

export default function Damage() {
  return (
    <Chapter title="Damage report" lead="Before you trust a smaller file, ask what it lost. Here is the answer in full, with how sure it is.">
      <p>
        Every figure has an interval: the range in which it would probably lie on other text of the same kind. Where two intervals overlap, the report
        compares the files text by text before it calls one of them better.
      </p>
      <Data<{ report: Report; sample: boolean }> name="report" wait="Reading the report">
        {({ report, sample }) => (
          <>
            {sample && (
              <p class="aside">
                No report was given, so this one is of SmolLM2 in float16 and five files made from it. To see your own: <code>bitwright compare A B --reference R -o report.json</code>,
                then <code>bitwright explore --report report.json</code>.
              </p>
            )}
            <ReportBody report={report} />
          </>
        )}
      </Data>
    </Chapter>
  );
}
