//! Which view the page shows, told by what is behind the `#` of its address.

use leptos::{ev, prelude::*};

/// A view of the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum View {
    /// Where pictures are made.
    Pictures,
    /// Where models are kept.
    Models,
}

impl View {
    /// Its address within the page.
    pub const fn address(self) -> &'static str {
        match self {
            Self::Pictures => "#pictures",
            Self::Models => "#models",
        }
    }
}

/// The view that is shown, as the address changes.
pub fn listen() -> Signal<View> {
    let view = RwSignal::new(current());
    let handle = window_event_listener(ev::hashchange, move |_| {
        view.set(current());
        window().scroll_to_with_x_and_y(0.0, 0.0);
    });
    on_cleanup(move || handle.remove());
    view.into()
}

/// Goes to a view.
pub fn show(view: View) {
    window().location().set_hash(view.address()).ok();
}

fn current() -> View {
    let hash = window().location().hash().unwrap_or_default();
    // The skip link of that view leads to an element of it.
    if hash.starts_with(View::Models.address()) { View::Models } else { View::Pictures }
}
