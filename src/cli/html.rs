//! Pages of one file: no script, no network, light and dark.

use std::fmt::Display;

/// Text as HTML.
pub(super) fn escape(text: impl Display) -> String {
    text.to_string()
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
        .replace('\'', "&#39;")
}

/// A page. `refresh` reloads it every so many seconds.
pub(super) fn page(title: &str, refresh: Option<u32>, body: &str) -> String {
    let refresh =
        refresh.map_or(String::new(), |seconds| format!("<meta http-equiv=\"refresh\" content=\"{seconds}\">\n"));
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n{refresh}<title>{}</title>\n<style>{STYLE}</style>\n\
         </head>\n<body>\n<main>\n{body}\n</main>\n</body>\n</html>\n",
        escape(title)
    )
}

/// A figure with its name.
pub(super) fn tile(name: &str, value: impl Display, note: impl Display) -> String {
    format!(
        "<div class=\"tile\"><span>{}</span><b>{}</b><small>{}</small></div>",
        escape(name),
        escape(value),
        escape(note)
    )
}

/// A table. Columns whose header begins with `>` hold figures and are aligned to the right; cells are HTML already.
pub(super) fn table(header: &[&str], rows: &[Vec<String>]) -> String {
    let side = |index: usize| if header[index].starts_with('>') { " class=\"n\"" } else { "" };
    let head: String = header
        .iter()
        .enumerate()
        .map(|(index, name)| format!("<th{}>{}</th>", side(index), escape(name.trim_start_matches('>'))))
        .collect();
    let body: String = rows
        .iter()
        .map(|row| {
            let cells: String =
                row.iter().enumerate().map(|(index, cell)| format!("<td{}>{cell}</td>", side(index))).collect();
            format!("<tr>{cells}</tr>\n")
        })
        .collect();
    format!("<div class=\"wide\"><table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}</tbody></table></div>")
}

/// A word with a colour: `good`, `calm` or `bad`.
pub(super) fn badge(kind: &str, word: &str) -> String {
    format!("<span class=\"badge {kind}\">{}</span>", escape(word))
}

/// Horizontal bars, each with a name, a part of the whole (0 to 1), and words at its end.
pub(super) fn bars(rows: &[(String, f64, String)], kind: &str) -> String {
    let lines: String = rows
        .iter()
        .map(|(name, part, words)| {
            let width = (part.clamp(0.0, 1.0) * 100.0).max(if *part > 0.0 { 0.7 } else { 0.0 });
            format!(
                "<div class=\"row\"><span>{}</span><span class=\"track\"><i class=\"{kind}\" style=\"width:{width:.1}%\"></i></span><span>{}</span></div>\n",
                escape(name),
                escape(words)
            )
        })
        .collect();
    format!("<div class=\"bars\">\n{lines}</div>")
}

const STYLE: &str = "
:root{--ink:#1b2430;--soft:#5b6673;--paper:#f7f9fb;--card:#fff;--line:#dde3ea;--before:#b6c2cf;--after:#2b7bd6;--good:#1d7f4f;--bad:#b3261e;--calm:#5b6673}
@media (prefers-color-scheme:dark){:root{--ink:#e6ebf1;--soft:#9aa7b5;--paper:#12171d;--card:#1a2129;--line:#2c3640;--before:#4b5866;--after:#5aa2f2;--good:#5cc490;--bad:#f2827a;--calm:#9aa7b5}}
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);font:15px/1.5 system-ui,-apple-system,'Segoe UI',Roboto,sans-serif}
main{max-width:72rem;margin:0 auto;padding:2rem 1.2rem 4rem}
h1{font-size:1.7rem;margin:0 0 .2rem}h2{font-size:1.15rem;margin:2.4rem 0 .7rem}h3{font-size:1rem;margin:1rem 0 .4rem}
p{color:var(--soft);margin:.2rem 0 1rem}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(11rem,1fr));gap:.8rem;margin:1.4rem 0}
.tile{background:var(--card);border:1px solid var(--line);border-radius:.6rem;padding:.8rem 1rem;display:flex;flex-direction:column}
.tile span,.tile small{color:var(--soft);font-size:.85rem}.tile b{font-size:1.35rem;font-variant-numeric:tabular-nums}
.wide{overflow-x:auto;background:var(--card);border:1px solid var(--line);border-radius:.6rem}
table{border-collapse:collapse;width:100%;font-size:.92rem}
th,td{text-align:left;padding:.45rem .8rem;border-bottom:1px solid var(--line);vertical-align:top}
tr:last-child td{border-bottom:0}th{color:var(--soft);font-weight:600;white-space:nowrap}
.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
.badge{border:1px solid currentColor;border-radius:1rem;padding:0 .55rem;font-size:.82rem;white-space:nowrap}
.good{color:var(--good)}.bad{color:var(--bad)}.calm{color:var(--calm)}
.bars{display:grid;gap:.25rem}.row{display:grid;grid-template-columns:9rem 1fr 11rem;gap:.7rem;align-items:center;font-size:.88rem}
.row span:last-child{color:var(--soft);font-variant-numeric:tabular-nums}
.track{height:.85rem;background:transparent;border-radius:.2rem}.track i{display:block;height:100%;border-radius:.2rem}
i.before{background:var(--before)}i.after{background:var(--after)}
.pair{display:grid;grid-template-columns:repeat(auto-fit,minmax(22rem,1fr));gap:1.2rem}
details{background:var(--card);border:1px solid var(--line);border-radius:.6rem;padding:.6rem 1rem;margin:.6rem 0}
summary{cursor:pointer;font-weight:600}code{font-size:.9em}
@media (max-width:40rem){.row{grid-template-columns:6rem 1fr 7rem}.pair{grid-template-columns:1fr}}
@media print{body{background:#fff}details{break-inside:avoid}}
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn should_escape_what_others_named_and_load_nothing() {
        let page = page("a<b>", None, &table(&["x", ">n"], &[vec![escape("<script>"), "1".into()]]));
        assert!(page.contains("a&lt;b&gt;") && page.contains("&lt;script&gt;") && !page.contains("<script"), "{page}");
        for word in ["http://", "https://", "src=", "url(", "@import", "<link"] {
            assert!(!page.contains(word), "a page of one file has {word}");
        }
    }
}
