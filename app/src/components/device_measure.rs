use crate::{
    library::expect_library,
    state::{LibraryStoreFields as _, PageStoreFields as _, expect_page},
    words::bytes,
};
use leptos::prelude::*;
use protocol::{DeviceChoice, ProbeReport};

/// Measures what this device can do, and says what it found.
#[component]
pub fn DeviceMeasure() -> impl IntoView {
    let library = expect_library();
    let state = expect_page().library();
    let is_probing = state.is_probing();
    let label = move || match (is_probing.get(), state.probe().read().is_some()) {
        (true, _) => "Measuring…",
        (false, true) => "Measure again (5 s)",
        (false, false) => "Measure this device (5 s)",
    };
    view! {
        <section class="panel" aria-labelledby="measure-title">
            <h3 id="measure-title">"This device"</h3>
            <div role="status">
                {move || match state.probe().get() {
                    Some(probe) => figures(&probe).into_any(),
                    None => view! {
                        <p class="hint">
                            "Once it is measured, each model says whether it fits and how long a picture will take. It is measured by itself before the first download."
                        </p>
                    }.into_any(),
                }}
            </div>
            <button type="button" class="secondary" disabled=move || is_probing.get() on:click=move |_| library.probe()>
                {label}
            </button>
        </section>
    }
}

fn figures(probe: &ProbeReport) -> impl IntoView + use<> {
    let rows = rows(probe)
        .into_iter()
        .map(|(what, value)| view! { <div><dt>{what}</dt><dd>{value}</dd></div> })
        .collect_view();
    view! { <dl class="figures">{rows}</dl> }
}

fn rows(probe: &ProbeReport) -> Vec<(String, String)> {
    let speed = |device| probe.speeds.iter().find(|speed| speed.device == device).map(|speed| speed.gflops);
    let words =
        |speed: Option<f64>| speed.map_or_else(|| "not measured".to_owned(), |speed| format!("{speed:.1} GFLOP/s"));
    let mut rows = vec![("CPU".to_owned(), words(speed(DeviceChoice::Cpu)))];
    match &probe.adapter {
        Some(adapter) => {
            let kind = if adapter.is_software { "GPU (software)" } else { "GPU" };
            rows.push((kind.to_owned(), words(speed(DeviceChoice::Webgpu))));
            rows.push(("Largest buffer of the GPU".to_owned(), bytes(adapter.max_buffer_bytes)));
            rows.push(("Largest binding of the GPU".to_owned(), bytes(adapter.max_binding_bytes)));
        }
        None => rows.push(("GPU".to_owned(), "none that this browser offers".to_owned())),
    }
    rows.push(("Memory a page can have".to_owned(), bytes(probe.wasm_limit_bytes)));
    rows
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::DeviceSpeed;

    #[test]
    fn a_device_without_a_gpu_says_so() {
        let speeds = vec![DeviceSpeed { device: DeviceChoice::Cpu, gflops: 9.25 }];
        let probe = ProbeReport { adapter: None, speeds, wasm_limit_bytes: 4e9, seconds: 2.0 };
        let rows = rows(&probe);
        assert_eq!(rows[0].1, "9.2 GFLOP/s");
        assert_eq!(rows[1], ("GPU".to_owned(), "none that this browser offers".to_owned()));
    }
}
