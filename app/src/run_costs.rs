//! What a run costs, in words: here and on the server.

use crate::{
    state::Quote,
    words::{about, sentence},
};

/// A number of credits.
pub fn credits(count: u64) -> String {
    if count == 1 { "1 credit".to_owned() } else { format!("{count} credits") }
}

/// The cost of a run here, which takes so many seconds if that is known.
pub fn here(expected_seconds: Option<f64>) -> String {
    match expected_seconds {
        Some(expected) => format!("free · {}", about(expected)),
        None => "free".to_owned(),
    }
}

/// The cost of a run on the server; `own` is the model that the page has, which a server may not have.
pub fn on_server(has_key: bool, quote: Option<&Quote>, own: Option<&str>) -> String {
    match quote {
        _ if !has_key => "needs an account".to_owned(),
        None => "…".to_owned(),
        Some(Quote::Refusal(why)) => sentence(why),
        Some(Quote::Offer(estimate)) => {
            let mut words = vec![credits(estimate.price)];
            words.extend(estimate.eta_seconds.map(about));
            if own.is_some_and(|own| own != estimate.model) {
                words.push(format!("another model, {}", estimate.model));
            }
            words.join(" · ")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use client::Estimate;

    #[test]
    fn costs_read_as_people_say_them() {
        assert_eq!((here(None), here(Some(3.2))), ("free".to_owned(), "free · about 3 s".to_owned()));
        let quote = |price, eta_seconds| {
            Quote::Offer(Estimate { price, eta_seconds, position: Some(0), model: "demo".to_owned() })
        };
        assert_eq!(on_server(true, Some(&quote(1, Some(2.0))), Some("demo")), "1 credit · about 2 s");
        assert_eq!(on_server(true, Some(&quote(4, None)), None), "4 credits");
        assert_eq!(on_server(true, Some(&quote(4, None)), Some("x")), "4 credits · another model, demo");
        assert_eq!(on_server(false, None, None), "needs an account");
        assert_eq!(on_server(true, Some(&Quote::Refusal("steps is 0".to_owned())), None), "Steps is 0");
    }
}
