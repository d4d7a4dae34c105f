//! Text for those who listen: not every change, but the latest one, at most once in a while.

use leptos::prelude::*;
use std::time::Duration;

/// `source`, changing at most once every `pause`; the last value always arrives.
pub fn throttled(source: Signal<String>, pause: Duration) -> Signal<String> {
    let heard = RwSignal::new(String::new());
    let is_waiting = StoredValue::new(false);
    Effect::new(move |_| {
        let text = source.get();
        if is_waiting.get_value() {
            return;
        }
        heard.set(text);
        is_waiting.set_value(true);
        set_timeout(
            move || {
                if is_waiting.try_set_value(false).is_some() {
                    return;
                }
                let latest = source.get_untracked();
                if heard.read_untracked() != latest {
                    heard.set(latest);
                }
            },
            pause,
        );
    });
    heard.into()
}
