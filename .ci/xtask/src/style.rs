//! House rules that no other tool knows.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use cargo_metadata::MetadataCommand;

use crate::place::Place;

/// The one file that may name colours.
const TOKENS: &str = "tokens.css";

/// Fail on a colour outside the tokens, and on a crate without the workspace's lints.
pub fn check(place: &Place) -> Result<()> {
    let mut faults = Vec::new();
    colours(&place.root, &place.root.join("app"), &mut faults)?;
    lints(place, &mut faults)?;
    if !faults.is_empty() {
        bail!("{}", faults.join("\n"));
    }
    Ok(())
}

fn lints(place: &Place, faults: &mut Vec<String>) -> Result<()> {
    let manifest = place.root.join("Cargo.toml");
    let metadata = MetadataCommand::new().manifest_path(manifest).no_deps().exec().context("cargo metadata fails")?;
    for package in metadata.workspace_packages() {
        let text = fs::read_to_string(&package.manifest_path)?;
        let mut lines = text.lines().map(str::trim).skip_while(|line| *line != "[lints]");
        if lines.nth(1) != Some("workspace = true") {
            faults.push(format!("{} lacks `[lints] workspace = true`", package.name));
        }
    }
    Ok(())
}

fn colours(root: &Path, folder: &Path, faults: &mut Vec<String>) -> Result<()> {
    let mut paths: Vec<PathBuf> = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("{} cannot be read", folder.display()))? {
        paths.push(entry?.path());
    }
    paths.sort();
    for path in paths {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if path.is_dir() {
            if !matches!(name, "target" | "node_modules") {
                colours(root, &path, faults)?;
            }
            continue;
        }
        let extension = path.extension().and_then(|extension| extension.to_str());
        if name == TOKENS || !matches!(extension, Some("css" | "rs")) {
            continue;
        }
        let text = fs::read_to_string(&path).with_context(|| format!("{} cannot be read", path.display()))?;
        for (line, text) in (1..).zip(text.lines()) {
            if names_colour(text, extension == Some("css")) {
                let path = path.strip_prefix(root).unwrap_or(&path).display();
                faults.push(format!("{path}:{line} names a colour: use a token of {TOKENS}"));
            }
        }
    }
    Ok(())
}

/// Whether the line has a literal colour; a selector is not one, nor is a Rust attribute.
fn names_colour(line: &str, css: bool) -> bool {
    let functions = ["rgb(", "rgba(", "hsl(", "hsla(", "oklch("];
    let calls = |function: &&str| {
        // Not `from_rgba(`, which is a name of ours.
        line.match_indices(*function).any(|(at, _)| !line[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_'))
    };
    if functions.iter().any(calls) {
        return true;
    }
    let value = if css { line.split_once(':').map_or("", |(_, value)| value) } else { line };
    let opens = |before: Option<char>| css || matches!(before, Some('"' | '\'' | ' '));
    value.match_indices('#').any(|(at, _)| {
        let digits = value[at + 1..].chars().take_while(char::is_ascii_alphanumeric).collect::<String>();
        matches!(digits.len(), 3 | 4 | 6 | 8)
            && digits.chars().all(|digit| digit.is_ascii_hexdigit())
            && opens(value[..at].chars().next_back())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_found_and_nothing_else() {
        assert!(names_colour("  color: #fff;", true));
        assert!(names_colour("  border: 1px solid rgb(0 0 0);", true));
        assert!(names_colour("let paper = \"#1a2b3c\";", false));
        assert!(!names_colour("#face {", true));
        assert!(!names_colour("  color: var(--ink);", true));
        assert!(!names_colour("#[cfg(test)]", false));
        assert!(!names_colour("Picture::from_rgba(bytes)", false));
        assert!(!names_colour("//! issue &#039;", false));
    }
}
