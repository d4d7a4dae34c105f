//! How long the slowest refusal of a hostile file takes.
//!
//! `cargo bench -p weights --bench hostile [-- --json]`

#![expect(clippy::unwrap_used, reason = "the cases are shared with tests")]

#[path = "../tests/hostile/gguf_cases.rs"]
#[expect(dead_code, reason = "the tests have more files than those that are refused")]
mod gguf_cases;
#[path = "../tests/hostile/safetensors_cases.rs"]
#[expect(dead_code, reason = "the tests have more files than those that are refused")]
mod safetensors_cases;

use std::time::{Duration, Instant};

use weights::{GgufFile, SafetensorsFile};

const ROUNDS: usize = 5;
/// What a visitor does not notice.
const GOAL: Duration = Duration::from_millis(50);

fn main() {
    let is_json = std::env::args().any(|argument| argument == "--json");
    let slowest = [
        slowest("safetensors", safetensors_cases::cases(), |file| SafetensorsFile::open(file).is_err()),
        slowest("GGUF", gguf_cases::cases(), |file| GgufFile::open(file).is_err()),
    ];
    for (kind, case, time) in slowest {
        let name = format!("hostile {kind}: slowest refusal ({case})");
        let (value, goal) = (time.as_secs_f64() * 1e3, GOAL.as_secs_f64() * 1e3);
        if is_json {
            println!("{}", serde_json::json!({ "name": name, "value": value, "unit": "ms", "goal": goal }));
        } else {
            println!("{name:<64} {value:>10.3} ms, goal {goal} ms");
        }
    }
}

/// The case that takes longest, each by its best round.
fn slowest(
    kind: &'static str,
    cases: Vec<(&'static str, Vec<u8>)>,
    is_refused: impl Fn(&[u8]) -> bool,
) -> (&'static str, &'static str, Duration) {
    let timed = cases.into_iter().map(|(case, file)| {
        let rounds = (0..ROUNDS).map(|_| {
            let start = Instant::now();
            assert!(is_refused(&file), "{case}");
            start.elapsed()
        });
        (kind, case, rounds.min().unwrap_or_default())
    });
    timed.max_by_key(|&(.., time)| time).unwrap_or((kind, "none", Duration::ZERO))
}
