//! Inline scripts become files, because the served policy runs none that stand in the page.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};

use crate::stamp::Stamp;

const OPEN: &str = "<script";
const CLOSE: &str = "</script>";

/// Move the scripts in `index.html` of this folder to `boot-<hash>.js` beside it.
pub fn move_inline_scripts(dist: &Path) -> Result<()> {
    let index = dist.join("index.html");
    let page = fs::read_to_string(&index).context("the built index.html cannot be read")?;
    let (page, scripts) = extract(&page)?;
    for (name, body) in scripts {
        fs::write(dist.join(&name), body).with_context(|| format!("{name} cannot be written"))?;
    }
    fs::write(&index, page).context("the built index.html cannot be written")
}

/// The page without inline scripts, and the files that hold them now.
fn extract(page: &str) -> Result<(String, Vec<(String, String)>)> {
    let mut rest = page;
    let mut kept = String::with_capacity(page.len());
    let mut files = Vec::new();
    while let Some(start) = rest.find(OPEN) {
        let Some(open_end) = rest[start..].find('>').map(|end| start + end) else {
            bail!("a script tag is not closed")
        };
        let Some(close) = rest[open_end..].find(CLOSE).map(|end| open_end + end) else { bail!("a script has no end") };
        let attributes = &rest[start + OPEN.len()..open_end];
        let body = rest[open_end + 1..close].trim();
        kept.push_str(&rest[..start]);
        if body.is_empty() || !runs(attributes) {
            kept.push_str(&rest[start..close + CLOSE.len()]);
        } else {
            let name = format!("boot-{}.js", Stamp::of_bytes(body.as_bytes()).short());
            kept.extend([OPEN, attributes, " src=\"/", name.as_str(), "\">", CLOSE]);
            files.push((name, format!("{body}\n")));
        }
        rest = &rest[close + CLOSE.len()..];
    }
    kept.push_str(rest);
    Ok((kept, files))
}

/// Whether a script with these attributes is code, and not data or a reference.
fn runs(attributes: &str) -> bool {
    let mut types = attributes.split_ascii_whitespace().filter_map(|attribute| attribute.strip_prefix("type="));
    let code = types.all(|value| matches!(value.trim_matches(['"', '\'']), "module" | "text/javascript"));
    code && !attributes.contains("src=")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inline_code_moves_out_and_everything_else_stays() {
        let page = "<head><script type=\"module\">\nimport init from '/a.js';\n</script><script src=\"/b.js\"></script>\
                    <script type=\"application/json\">{}</script></head>";
        let (page, files) = extract(page).unwrap();
        let [(name, body)] = files.as_slice() else { panic!("one script moves") };
        assert_eq!(body, "import init from '/a.js';\n");
        assert_eq!(
            page,
            format!(
                "<head><script type=\"module\" src=\"/{name}\"></script><script src=\"/b.js\"></script>\
                 <script type=\"application/json\">{{}}</script></head>"
            )
        );
    }

    #[test]
    fn an_unfinished_script_is_refused() {
        assert!(extract("<script>let x;").is_err());
    }
}
