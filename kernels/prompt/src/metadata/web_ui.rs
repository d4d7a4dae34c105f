//! The parameters text of Stable Diffusion web UI, Forge, SD.Next and Darkroom.

use super::{Metadata, Origin};
use spec::NoiseKind;

const NEGATIVE: &str = "Negative prompt:";
/// As many pairs as make a line one of parameters.
const PAIRS: usize = 3;
/// Most pairs of a line.
const MAX_PAIRS: usize = 1000;

/// Reads a parameters text: a prompt, a negative prompt, a line of pairs, each of which may be missing.
pub fn parse(text: &str) -> Metadata {
    let mut metadata = Metadata::new(Origin::WebUi, text);
    let mut lines: Vec<&str> = text.trim().lines().collect();
    // No text is one empty line.
    if lines.is_empty() {
        lines.push("");
    }
    let listed: Vec<Vec<(String, String)>> = lines.iter().map(|line| pairs(line)).collect();
    let has_steps = |pairs: &[(String, String)]| pairs.iter().any(|(key, _)| key == "Steps");
    // The last line of them, or the last that begins as they do where other programs have written behind it.
    let last = lines.len() - 1;
    let place = listed.iter().rposition(|pairs| pairs.len() >= PAIRS && has_steps(pairs));
    let place = place.or_else(|| (listed[last].len() >= PAIRS).then_some(last));
    let (mut prompt, mut negative) = (Vec::new(), None::<Vec<&str>>);
    for line in &lines[..place.unwrap_or(lines.len())] {
        let line = line.trim();
        match (line.strip_prefix(NEGATIVE), &mut negative) {
            (Some(first), _) => negative.get_or_insert_default().push(first.trim()),
            (None, Some(negative)) => negative.push(line),
            (None, None) => prompt.push(line),
        }
    }
    prompt.join("\n").trim().clone_into(&mut metadata.prompt);
    negative.unwrap_or_default().join("\n").trim().clone_into(&mut metadata.negative_prompt);
    for (key, value) in listed.into_iter().skip(place.unwrap_or(lines.len())).flatten() {
        put(&mut metadata, key, value);
    }
    metadata
}

/// Keeps a pair under its own name, or as one of the others where it has none or cannot be read.
fn put(to: &mut Metadata, key: String, value: String) {
    fn set<T: std::str::FromStr>(place: &mut Option<T>, value: &str) -> bool {
        let parsed = value.parse().ok();
        let is_new = place.is_none() && parsed.is_some();
        if is_new {
            *place = parsed;
        }
        is_new
    }
    let is_kept = match key.as_str() {
        "Steps" => set(&mut to.steps, &value),
        "Sampler" => set(&mut to.sampler, &value),
        "Schedule type" => set(&mut to.schedule_type, &value),
        "CFG scale" => set(&mut to.guidance, &value),
        "CFG Rescale" => set(&mut to.guidance_rescale, &value),
        "Seed" => set(&mut to.seed, &value),
        "Clip skip" => set(&mut to.clip_skip, &value),
        "Denoising strength" => set(&mut to.strength, &value),
        "Model" => set(&mut to.model, &value),
        "Size" => {
            let sides =
                value.split_once('x').and_then(|(width, height)| Some((width.parse().ok()?, height.parse().ok()?)));
            to.size = to.size.or(sides);
            sides.is_some()
        }
        "RNG" => {
            let noise = match value.as_str() {
                "CPU" => Some(NoiseKind::TorchCpu),
                "NV" | "GPU" => Some(NoiseKind::Philox),
                _ => None,
            };
            to.noise = to.noise.or(noise);
            noise.is_some()
        }
        _ => false,
    };
    if !is_kept {
        to.others.push((key, value));
    }
}

/// `Key: value, Key: "value with, commas"` of a line.
fn pairs(line: &str) -> Vec<(String, String)> {
    let mut pairs = Vec::new();
    let mut rest = line;
    while let Some((before, behind)) = rest.split_once(':').filter(|_| pairs.len() < MAX_PAIRS) {
        let key = before.trim();
        let is_key = key.chars().next().is_some_and(|c| c.is_alphanumeric() || c == '_')
            && key.chars().count() >= 2
            && key.chars().all(|c| c.is_alphanumeric() || " _-/".contains(c));
        let behind = behind.trim_start();
        let quoted = behind.starts_with('"').then(|| close(behind)).flatten();
        let end = match quoted {
            Some(end) => end,
            None => behind.find(',').unwrap_or(behind.len()),
        };
        let (value, next) = behind.split_at(end);
        if is_key {
            let text = if quoted.is_some() { serde_json::from_str(value).ok() } else { None };
            pairs.push((key.to_owned(), text.unwrap_or_else(|| value.trim().to_owned())));
        }
        rest = next.trim_start().strip_prefix(',').unwrap_or(next);
    }
    pairs
}

/// Where a quoted text ends, if a comma or nothing follows it.
fn close(text: &str) -> Option<usize> {
    let mut is_escaped = false;
    for (at, sign) in text.char_indices().skip(1) {
        match sign {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            '"' => {
                let behind = text[at + 1..].trim_start();
                return (behind.is_empty() || behind.starts_with(',')).then_some(at + 1);
            }
            _ => {}
        }
    }
    None
}

/// A value in quotes where it would not read back without.
pub fn quoted(value: &str) -> String {
    if value.contains([',', '\n', ':', '"']) || value.trim() != value {
        serde_json::Value::from(value).to_string()
    } else {
        value.to_owned()
    }
}

/// The whole text; line ends of a prompt become spaces where they would be taken for something else.
pub(crate) fn joined(prompt: &str, negative_prompt: &str, pairs: &[String]) -> String {
    let whole = |prompt: &str, negative: &str| {
        let mut text = prompt.to_owned();
        if !negative.is_empty() {
            text.push('\n');
            text.push_str(NEGATIVE);
            text.push(' ');
            text.push_str(negative);
        }
        format!("{text}\n{}", pairs.join(", "))
    };
    let (prompt, negative) = (prompt.trim(), negative_prompt.trim());
    let text = whole(prompt, negative);
    let read = parse(&text);
    if (read.prompt.as_str(), read.negative_prompt.as_str()) == (prompt, negative) {
        return text;
    }
    let flat = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    whole(&flat(prompt), &flat(negative))
}
