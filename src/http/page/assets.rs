//! The style sheet, the scripts and the icon: the same for everybody.

use axum::extract::Path;
use axum::http::header;
use axum::response::{IntoResponse, Response};

use super::super::wire::{Problem, ProblemKind};

/// A file of the pages, in the program itself.
struct Asset {
    name: &'static str,
    kind: &'static str,
    text: &'static str,
}

const SCRIPT: &str = "text/javascript; charset=utf-8";

const ASSETS: &[Asset] = &[
    file(
        "style.css",
        "text/css; charset=utf-8",
        include_str!("assets/style.css"),
    ),
    file("icon.svg", "image/svg+xml", include_str!("assets/icon.svg")),
    file("page.js", SCRIPT, include_str!("assets/page.js")),
    file("acts.js", SCRIPT, include_str!("assets/acts.js")),
    file("live.js", SCRIPT, include_str!("assets/live.js")),
    file("morph.js", SCRIPT, include_str!("assets/morph.js")),
    file("login.js", SCRIPT, include_str!("assets/login.js")),
];

const fn file(name: &'static str, kind: &'static str, text: &'static str) -> Asset {
    Asset { name, kind, text }
}

/// `GET /assets/{name}`
pub(super) async fn asset(Path(name): Path<String>) -> Result<Response, Problem> {
    let found = ASSETS.iter().find(|asset| asset.name == name);
    let asset = found.ok_or_else(|| {
        Problem::new(ProblemKind::NotFound, format!("there is no asset `{name}`"))
    })?;
    Ok(([(header::CONTENT_TYPE, asset.kind)], asset.text).into_response())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn text(name: &str) -> &'static str {
        ASSETS.iter().find(|asset| asset.name == name).unwrap().text
    }

    /// The colours that a style sheet names, `--name: #rrggbb;`.
    fn colors(style: &str) -> BTreeMap<&str, [f64; 3]> {
        let declarations = style
            .lines()
            .filter_map(|line| line.trim().strip_prefix("--"));
        let colors = declarations.filter_map(|line| {
            let (name, value) = line.split_once(": #")?;
            let value = u32::from_str_radix(value.strip_suffix(';')?, 16).ok()?;
            let [_, red, green, blue] = value.to_be_bytes();
            Some((name, [red, green, blue].map(f64::from)))
        });
        colors.collect()
    }

    /// As WCAG 2 defines it.
    fn contrast(a: [f64; 3], b: [f64; 3]) -> f64 {
        let luminance = |color: [f64; 3]| {
            let linear = |c: f64| match c / 255.0 {
                c if c <= 0.04045 => c / 12.92,
                c => ((c + 0.055) / 1.055).powf(2.4),
            };
            let [red, green, blue] = color.map(linear);
            0.2126 * red + 0.7152 * green + 0.0722 * blue
        };
        let (a, b) = (luminance(a), luminance(b));
        (a.max(b) + 0.05) / (a.min(b) + 0.05)
    }

    #[test]
    fn text_can_be_read_by_day_and_by_night() {
        let (day, night) = text("style.css")
            .split_once("prefers-color-scheme: dark")
            .unwrap();
        let (night, _) = night.split_once("box-sizing").unwrap();
        for (style, when) in [(day, "by day"), (night, "by night")] {
            let colors = colors(style);
            let mut pairs = vec![
                ("accent-text", "accent"),
                ("good", "good-soft"),
                ("doubt", "doubt-soft"),
                ("bad", "bad-soft"),
                ("text", "doubt-soft"),
                ("text", "bad-soft"),
                ("muted", "doubt-soft"),
                ("muted", "bad-soft"),
            ];
            for text in ["text", "muted", "accent", "good", "doubt", "bad"] {
                pairs.extend(["ground", "surface", "raised"].map(|ground| (text, ground)));
            }
            for (text, ground) in pairs {
                let found = contrast(colors[text], colors[ground]);
                assert!(found >= 4.5, "{text} on {ground} {when}: {found:.2}");
            }
            // The edges of what can be typed into or pressed.
            for ground in ["ground", "surface", "raised"] {
                let found = contrast(colors["line-strong"], colors[ground]);
                assert!(found >= 3.0, "edges on {ground} {when}: {found:.2}");
            }
        }
    }

    #[test]
    fn nothing_leads_elsewhere_and_scripts_import_only_what_is_here() {
        for asset in ASSETS {
            let text = asset.text.replace("http://www.w3.org/2000/svg", "");
            for elsewhere in ["http://", "https://", "//cdn", "eval(", "url("] {
                assert!(!text.contains(elsewhere), "{}: {elsewhere}", asset.name);
            }
            for import in text.lines().filter(|line| line.starts_with("import ")) {
                let (_, path) = import.split_once("\"./").unwrap();
                let name = path.trim_end_matches("\";");
                assert!(ASSETS.iter().any(|asset| asset.name == name), "{import}");
            }
        }
    }
}
