use crate::state::{AccountStoreFields as _, PageStoreFields as _, expect_page};
use client::Usage;
use leptos::prelude::*;

/// What the account used and has left.
#[component]
pub fn AccountUsage() -> impl IntoView {
    let usage = expect_page().account().usage();
    view! {
        {move || usage.get().map(|usage| view! {
            <section class="account-part" aria-labelledby="usage-title">
                <h3 id="usage-title">"Usage"</h3>
                <dl class="figures">
                    {rows(&usage)
                        .into_iter()
                        .map(|(what, figure)| view! { <div><dt>{what}</dt><dd>{figure}</dd></div> })
                        .collect_view()}
                </dl>
            </section>
        })}
    }
}

fn rows(usage: &Usage) -> Vec<(&'static str, String)> {
    let pictures = match usage.images_per_month {
        Some(all) => format!("{} of {all}", usage.images_this_month),
        None => usage.images_this_month.to_string(),
    };
    vec![
        ("Credits", usage.credits.to_string()),
        ("Held for runs that go on", usage.held.to_string()),
        ("Pictures this month", pictures),
        ("Runs that wait or go on", format!("{} of {}", usage.queued, usage.queued_jobs)),
        ("Plan", usage.plan.clone()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_with_a_limit_says_it() {
        let usage = Usage {
            plan: "free".to_owned(),
            credits: 17,
            held: 1,
            images_this_month: 3,
            images_per_month: Some(1000),
            queued: 1,
            queued_jobs: 5,
            requests_per_window: 150,
            days: Vec::new(),
        };
        let figures: Vec<String> = rows(&usage).into_iter().map(|(_, figure)| figure).collect();
        assert_eq!(figures, ["17", "1", "3 of 1000", "1 of 5", "free"]);
        let figures = rows(&Usage { images_per_month: None, ..usage });
        assert_eq!(figures[2].1, "3");
    }
}
