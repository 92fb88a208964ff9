//! The pages: the list of sweeps, one sweep while it runs, and its report. Every name becomes text.

use super::http::{Response, encoded};
use super::sweeps::{Report, Seen};
use crate::live::curve::Curve;
use crate::live::{Picture, Shown};
use crate::standing::Standing;

/// Seconds after which a browser loads a page of what runs again.
const AGAIN_S: u32 = 10;
/// Seconds after which it loads a report again.
const REPORT_AGAIN_S: u32 = 60;

/// What the report's page may do: as its own policy says, and it may not be framed.
const OF_REPORT: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:; base-uri 'none'; \
                         form-action 'none'; frame-ancestors 'none'";

const STYLE: &str = include_str!("pages.css");

/// All sweeps.
pub(super) fn list(sweeps: &[Seen]) -> Response {
    let mut rows = String::new();
    for sweep in sweeps {
        let name = format!("<a href=\"/sweeps/{}\">{}</a>", encoded(&sweep.name), escaped(&sweep.name));
        rows += &match &sweep.picture {
            Some(picture) => line(&name, picture),
            None => format!("<tr><th scope=\"row\">{name}</th><td colspan=\"5\">{}</td></tr>", being_read(sweep)),
        };
    }
    let body = if sweeps.is_empty() {
        "<p>The store contains no sweep yet.</p>".to_owned()
    } else {
        format!(
            "<div class=\"wide\" tabindex=\"0\" role=\"region\" aria-label=\"Sweeps\"><table><thead><tr><th scope=\"col\">sweep</th>\
             <th scope=\"col\">done</th><th scope=\"col\">failed</th><th scope=\"col\">running</th><th scope=\"col\">to run</th>\
             <th scope=\"col\">left</th></tr></thead><tbody>{rows}</tbody></table></div>"
        )
    };
    live("Sweeps", &format!("<h1>Sweeps</h1>{body}"))
}

fn being_read(sweep: &Seen) -> String {
    sweep.trouble.as_deref().map_or_else(|| "is being read".to_owned(), escaped)
}

fn line(name: &str, picture: &Picture) -> String {
    let counts = picture.counts();
    let silent = picture.trials.iter().filter(|trial| trial.silent_s(picture.unix_s).is_some()).count();
    let left = picture.left_s().map(|left| format!("about {}", terminal::duration(left))).unwrap_or_default();
    let silent = match silent {
        0 => String::new(),
        1 => "<br><strong>1 trial is silent</strong>".to_owned(),
        several => format!("<br><strong>{several} trials are silent</strong>"),
    };
    format!(
        "<tr><th scope=\"row\">{name}{silent}</th><td>{} of {}</td><td>{}</td><td>{}</td><td>{}</td><td>{left}</td></tr>",
        counts.finished,
        picture.trials.len(),
        counts.failed + counts.damaged,
        counts.running,
        counts.open
    )
}

/// One sweep while it runs.
pub(super) fn sweep(seen: &Seen) -> Response {
    let (name, title) = (encoded(&seen.name), escaped(&seen.name));
    let mut body = format!("<p><a href=\"/\">All sweeps</a></p><h1>{title}</h1>");
    if let Some(trouble) = &seen.trouble {
        body += &format!("<p class=\"worry\" role=\"alert\">The store cannot be read: {}</p>", escaped(trouble));
    }
    match &seen.picture {
        None => body += "<p>The sweep is being read.</p>",
        Some(picture) => {
            body += &format!("<p>{} <a href=\"/sweeps/{name}/report\">Its report</a></p>", summary(picture));
            body += &worries(picture);
            body += &trials(picture);
        }
    }
    live(&seen.name, &body)
}

fn summary(picture: &Picture) -> String {
    let counts = picture.counts();
    let (all, failed) = (picture.trials.len(), counts.failed + counts.damaged);
    let mut words = format!(
        "{} of {all} trials are done, {} are running, {} are to run, {failed} have failed.",
        counts.finished, counts.running, counts.open
    );
    if let Some(left) = picture.left_s() {
        let slots = if picture.slots == 1 { "1 slot".to_owned() } else { format!("{} slots", picture.slots) };
        words += &format!(" About {} are left on {slots}.", terminal::duration(left));
    }
    if picture.seen() < all {
        words += &format!(" {} have been read so far.", picture.seen());
    }
    let (done, part) = (counts.finished as f64 / all.max(1) as f64, "<span class=\"bar\" aria-hidden=\"true\">");
    format!("{words}</p>{part}<span style=\"width:{:.1}%\"></span></span><p>", 100.0 * done)
}

fn worries(picture: &Picture) -> String {
    let found = picture.worries();
    if found.is_empty() {
        return String::new();
    }
    let line =
        |(trial, words): &(&Shown, String)| format!("<li><b>{}</b> {}</li>", escaped(&trial.label), escaped(words));
    let lines: String = found.iter().map(line).collect();
    format!("<h2>Look at</h2><ul class=\"worry\">{lines}</ul>")
}

fn trials(picture: &Picture) -> String {
    let rows: String = picture.in_order().into_iter().map(|trial| row(trial, picture.unix_s)).collect();
    format!(
        "<h2>Trials</h2><div class=\"wide\" tabindex=\"0\" role=\"region\" aria-label=\"Trials\"><table><thead><tr><th scope=\"col\">trial</th>\
         <th scope=\"col\">stage</th><th scope=\"col\">step</th><th scope=\"col\">loss</th><th scope=\"col\">over steps</th>\
         <th scope=\"col\">score</th><th scope=\"col\">time</th><th scope=\"col\">last sign</th></tr></thead><tbody>{rows}</tbody></table></div>\
         <p>Scores are those of the primary comparison on the first evaluation set, in percent. The last sign of a trial that runs is \
         when anything of it was last written; after {} minutes without one it is called silent.</p>",
        crate::live::SILENT_S / 60
    )
}

fn row(trial: &Shown, now: u64) -> String {
    let (class, stage) = match trial.standing {
        None => ("open", "not read yet"),
        Some(Standing::Open) if trial.attempt.is_none() => ("open", "not run yet"),
        Some(Standing::Open) => ("open", "cut off"),
        Some(Standing::Failed) => ("failed", "failed"),
        Some(Standing::Damaged) => ("failed", "damaged"),
        Some(Standing::Finished) => ("done", "done"),
        Some(Standing::Running) => ("running", trial.stage.as_str()),
    };
    let silent = trial.silent_s(now).is_some();
    let sign = trial.last_write.max(trial.since).filter(|_| trial.standing == Some(Standing::Running));
    let sign =
        sign.map(|then| format!("{} ago", terminal::duration(now.saturating_sub(then) as f64))).unwrap_or_default();
    let cells = [
        escaped(stage),
        trial.step.map(|step| format!("{step} of {}", trial.steps)).unwrap_or_default(),
        trial.losses.last().map(|loss| format!("{loss:.3}")).unwrap_or_default(),
        drawn(&trial.losses),
        trial.score.map(|score| format!("{:.1}", 100.0 * score)).unwrap_or_default(),
        trial.took_s.or_else(|| trial.running_s(now)).map(terminal::duration).unwrap_or_default(),
        if silent { format!("<strong>silent: {sign}</strong>") } else { sign },
    ];
    let cells: String = cells.into_iter().map(|cell| format!("<td>{cell}</td>")).collect();
    format!("<tr class=\"{class}\"><th scope=\"row\">{}</th>{cells}</tr>", breakable(&trial.label))
}

/// A curve as a small drawing; nothing where there are fewer than two points.
fn drawn(curve: &Curve) -> String {
    const WIDTH: f64 = 120.0;
    const HEIGHT: f64 = 22.0;
    let points = curve.points();
    let (Some(first), Some(last)) = (points.first(), points.last()) else { return String::new() };
    if points.len() < 2 {
        return String::new();
    }
    let (lo, hi) = points.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(lo, hi), (_, v)| (lo.min(*v), hi.max(*v)));
    let across = |step: u64| (step - first.0) as f64 / (last.0 - first.0).max(1) as f64 * WIDTH;
    let up = |value: f64| HEIGHT - 1.0 - (value - lo) / (hi - lo).max(1e-12) * (HEIGHT - 2.0);
    let path: Vec<String> =
        points.iter().map(|(step, value)| format!("{:.1},{:.1}", across(*step), up(*value))).collect();
    format!(
        "<svg role=\"img\" aria-label=\"loss from {:.3} to {:.3}\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" width=\"{WIDTH}\" height=\"{HEIGHT}\">\
         <polyline points=\"{}\"/></svg>",
        first.1,
        last.1,
        path.join(" ")
    )
}

/// The report's page. One that grows is loaded again, unless its reader holds it.
pub(super) fn report(report: &Report, held: bool) -> Response {
    let page =
        Response::page(std::sync::Arc::clone(&report.page)).with("content-security-policy", OF_REPORT.to_owned());
    if report.grows && !held { page.with("refresh", REPORT_AGAIN_S.to_string()) } else { page }
}

/// A page that is loaded again after a while.
fn live(title: &str, body: &str) -> Response {
    let title = escaped(title);
    let page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width, \
        initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light \
         dark\">\n<title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>{body}</main>\n\
         <footer>reddino {}. This page reloads every {AGAIN_S} seconds.</footer>\n</body>\n</html>\n",
        env!("CARGO_PKG_VERSION")
    );
    Response::page(page).with("refresh", AGAIN_S.to_string())
}

/// A trial's label, which a narrow screen breaks between arm and seed.
fn breakable(label: &str) -> String {
    escaped(label).replace("/seed-", "/<wbr>seed-")
}

fn escaped(text: impl AsRef<str>) -> String {
    let text = text.as_ref().replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    text.replace('"', "&quot;").replace('\'', "&#39;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::live::tests::{picture, trial};

    fn seen(trials: Vec<Shown>) -> Seen {
        Seen { name: "a <b>&'\"".into(), picture: Some(picture(trials)), trouble: None }
    }

    #[test]
    fn names_and_reasons_become_text() {
        let failed =
            Shown { words: "<script>alert(1)</script>".into(), ..trial("<img src=x>/seed-0", Standing::Failed) };
        for page in [sweep(&seen(vec![failed.clone()])), list(&[seen(vec![failed])])] {
            assert!(
                !page.body.contains("<script") && !page.body.contains("<img") && !page.body.contains("a <b>"),
                "{}",
                page.body
            );
            assert!(page.body.contains("a &lt;b&gt;&amp;&#39;&quot;"), "{}", page.body);
            assert_eq!(page.header("refresh"), Some("10"));
            assert!(page.header("content-security-policy").is_some_and(|policy| !policy.contains("script-src")));
        }
        assert!(list(&[seen(Vec::new())]).body.contains("href=\"/sweeps/a%20%3Cb%3E%26%27%22\""));
    }

    #[test]
    fn what_is_silent_is_flagged_in_both_pages() {
        let silent = Shown { since: Some(1), ..trial("a/seed-0", Standing::Running) };
        assert!(sweep(&seen(vec![silent.clone()])).body.contains("<strong>silent: 2h46m ago</strong>"));
        assert!(list(&[seen(vec![silent])]).body.contains("<strong>1 trial is silent</strong>"));
        let lively = Shown { since: Some(9_990), ..trial("a/seed-0", Standing::Running) };
        assert!(!sweep(&seen(vec![lively])).body.contains("silent:"));
    }

    #[test]
    fn a_curve_is_drawn_from_left_to_right_and_low_is_good() {
        let mut curve = Curve::default();
        assert_eq!(drawn(&curve), "");
        [(10, 3.0), (20, 1.0), (30, 2.0)].into_iter().for_each(|(step, loss)| curve.push(step, loss));
        assert!(drawn(&curve).contains("points=\"0.0,1.0 60.0,21.0 120.0,11.0\""), "{}", drawn(&curve));
    }
}
