//! Data, style and scripts as one file.

use serde_json::Error;

use crate::data::Report;

const FRAME: &str = include_str!("../page/page.html");
const STYLE: &str = include_str!("../page/style.css");

/// The scripts, in an order in which each knows those it uses.
const SCRIPTS: [&str; 13] = [
    include_str!("../page/dom.js"),
    include_str!("../page/data-table.js"),
    include_str!("../page/verdicts.js"),
    include_str!("../page/forest.js"),
    include_str!("../page/scores.js"),
    include_str!("../page/measured.js"),
    include_str!("../page/confusion.js"),
    include_str!("../page/chart.js"),
    include_str!("../page/tiles.js"),
    include_str!("../page/map.js"),
    include_str!("../page/look.js"),
    include_str!("../page/run.js"),
    include_str!("../page/main.js"),
];

/// The page of `report`, a whole HTML file. Names from the data are never markup: the scripts make texts of them, and the data
/// themselves hold no `<` that could end their element.
///
/// # Errors
/// Data that JSON cannot hold.
pub fn page(report: &Report) -> Result<String, Error> {
    let data = to_json(report)?.replace('<', "\\u003c");
    let script = format!("\"use strict\";\n{}", SCRIPTS.join("\n"));
    let mut page = String::with_capacity(data.len() + script.len() + STYLE.len() + FRAME.len());
    let mut rest = FRAME;
    // What is put in is not searched again: a title may hold the name of a place.
    for (place, text) in [
        ("{{TITLE}}", escaped(&report.title)),
        ("{{STYLE}}", STYLE.to_owned()),
        ("{{DATA}}", data),
        ("{{SCRIPT}}", script),
    ] {
        let (before, after) = rest.split_once(place).expect("the frame has each place, in this order");
        page.push_str(before);
        page.push_str(text.trim_end());
        rest = after;
    }
    page.push_str(rest);
    Ok(page)
}

/// The data as JSON, on one line with a line break after it.
///
/// # Errors
/// Data that JSON cannot hold.
pub fn to_json(report: &Report) -> Result<String, Error> {
    Ok(serde_json::to_string(report)? + "\n")
}

/// Data as [`to_json`] wrote them.
///
/// # Errors
/// The text is not JSON, or has another layout.
pub fn from_json(text: &str) -> Result<Report, Error> {
    serde_json::from_str(text)
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::FORMAT;

    fn report(title: &str) -> Report {
        Report {
            format: FORMAT,
            title: title.to_owned(),
            mark: None,
            notices: Vec::new(),
            reference: None,
            level: 0.95,
            margin: 0.01,
            evaluations: Vec::new(),
            charts: Vec::new(),
            look: None,
            run: None,
            captions: Vec::new(),
            methods: Vec::new(),
            made: "a test".to_owned(),
        }
    }

    #[test]
    fn a_name_cannot_end_the_data_or_become_markup() {
        let title = "</script><script>alert(1)</script> {{SCRIPT}} & <!--";
        let page = page(&report(title)).unwrap();
        assert_eq!(page.matches("<script").count(), 2, "the data and the scripts");
        assert_eq!(page.matches("</script>").count(), 2);
        let data = page.split_once("id=\"report\">").unwrap().1.split_once("</script>").unwrap().0;
        assert_eq!(from_json(data).unwrap().title, title);
        assert!(
            page.contains(
                "<title>&lt;/script&gt;&lt;script&gt;alert(1)&lt;/script&gt; {{SCRIPT}} &amp; &lt;!--</title>"
            )
        );
    }

    #[test]
    fn nothing_is_fetched() {
        let page = page(&report("A sweep")).unwrap();
        assert!(page.contains("default-src 'none'"));
        for address in ["http://", "https://", "//cdn", "@import", "src=\"", "fetch(", "XMLHttpRequest"] {
            let found = page.replace("http://www.w3.org/2000/svg", "").contains(address);
            assert!(!found, "{address}");
        }
    }

    #[test]
    fn data_come_back() {
        let report = report("A sweep");
        assert_eq!(from_json(&to_json(&report).unwrap()).unwrap(), report);
        assert!(from_json(&to_json(&report).unwrap().replace("\"made\"", "\"makes\"")).is_err());
    }
}
