use crate::{
    device,
    session::expect_session,
    state::{EngineStoreFields as _, PageStoreFields as _, expect_page},
};
use leptos::prelude::*;
use protocol::DeviceReport;

/// Which device computes and why, and the menu to choose another.
#[component]
pub fn DeviceLine() -> impl IntoView {
    let page = expect_page();
    let session = expect_session();
    let choice = page.engine().choice();
    let report = page.engine().device();
    let options = device::ALL
        .into_iter()
        .map(|device| {
            view! {
                <option value=device::word(device) prop:selected=move || choice.get() == device>{device::label(device)}</option>
            }
        })
        .collect_view();
    view! {
        <div class="field device">
            <label for="device">"Compute on"</label>
            <select
                id="device"
                name="device"
                aria-describedby="device-reason"
                on:change:target=move |event| {
                    if let Some(device) = device::from_word(&event.target().value()) {
                        session.choose_device(device);
                    }
                }
            >
                {options}
            </select>
            <p class="hint" id="device-reason">
                {move || report.read().as_ref().map_or_else(|| "Looking for the faster device".to_owned(), explain)}
            </p>
        </div>
    }
}

fn explain(report: &DeviceReport) -> String {
    let name = match &report.adapter {
        Some(adapter) if report.device == protocol::DeviceChoice::Webgpu => {
            format!("{}, {adapter}", device::label(report.device))
        }
        _ => device::label(report.device).to_owned(),
    };
    let only = if report.other_available { "" } else { " (the only one here)" };
    format!("Uses the {name}{only}. {}", report.reason)
}
