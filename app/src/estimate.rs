//! Whether a model fits this device and how long a picture will take, told before any of it is fetched.

use crate::words::{about, bytes};
use protocol::{DeviceChoice, ModelDetails, ProbeReport};

/// Bytes of a number on the CPU, whose operations take no packed weights.
const CPU_NUMBER: f64 = 4.0;
/// Operations of a multiply-accumulate.
const OPERATIONS: f64 = 2.0;
/// Share of a machine's memory above which a model is a tight fit.
const TIGHT: f64 = 0.6;

/// What is to be expected of a model on this device.
#[derive(Debug, Clone, PartialEq)]
pub struct Outlook {
    /// The device that would compute.
    pub device: DeviceChoice,
    /// Seconds for a picture of the model's own size and steps.
    pub seconds: f64,
    /// Bytes of memory at the worst moment.
    pub memory_bytes: f64,
    /// Whether that is there.
    pub fit: Fit,
    /// The only GPU here is a program.
    pub is_software: bool,
}

/// Whether a model's weights and activations find room.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Fit {
    /// They do, as far as the browser lets a page know.
    Fits,
    /// They take most of this machine's memory.
    Tight(f64),
    /// They are more than a program in a page can have.
    BeyondWasm(f64),
    /// A single tensor is larger than the GPU takes.
    BeyondBinding(f64),
}

/// What is to be expected of a model; `None` while the device that would compute was not measured. `machine_bytes` is the memory
/// of the machine, where the browser says so.
pub fn outlook(
    model: &ModelDetails,
    probe: &ProbeReport,
    choice: DeviceChoice,
    machine_bytes: Option<f64>,
) -> Option<Outlook> {
    let (device, gflops) = device(probe, choice)?;
    let cost = &model.cost;
    let passes = if model.guidance > 1.0 { 2.0 } else { 1.0 };
    let macs = f64::from(model.steps) * (passes * cost.unet_macs + cost.preview_macs) + cost.decode_macs;
    let weights = if device == DeviceChoice::Cpu { model.parameters * CPU_NUMBER } else { model.size_bytes };
    let memory_bytes = weights + cost.activation_bytes;
    Some(Outlook {
        device,
        seconds: OPERATIONS * macs / (gflops * 1e9),
        memory_bytes,
        fit: fit(model, probe, (device, memory_bytes), machine_bytes),
        is_software: probe.adapter.as_ref().is_some_and(|adapter| adapter.is_software),
    })
}

/// The device that would be chosen, and its speed.
fn device(probe: &ProbeReport, choice: DeviceChoice) -> Option<(DeviceChoice, f64)> {
    let speed = |device| probe.speeds.iter().find(|speed| speed.device == device).map(|speed| (device, speed.gflops));
    let (cpu, gpu) = (speed(DeviceChoice::Cpu), speed(DeviceChoice::Webgpu));
    let chosen = match choice {
        DeviceChoice::Cpu => cpu,
        DeviceChoice::Webgpu => gpu.or(cpu),
        DeviceChoice::Auto => {
            let is_real = probe.adapter.as_ref().is_some_and(|adapter| !adapter.is_software);
            let is_faster = gpu.is_some_and(|(_, speed)| cpu.is_none_or(|(_, cpu)| speed >= cpu));
            if is_real && is_faster { gpu } else { cpu }
        }
    };
    chosen.filter(|(_, speed)| *speed > 0.0)
}

fn fit(model: &ModelDetails, probe: &ProbeReport, on: (DeviceChoice, f64), machine: Option<f64>) -> Fit {
    let (device, memory) = on;
    if device == DeviceChoice::Cpu && memory > probe.wasm_limit_bytes {
        return Fit::BeyondWasm(probe.wasm_limit_bytes);
    }
    let binding = probe.adapter.as_ref().map(|adapter| adapter.max_binding_bytes.min(adapter.max_buffer_bytes));
    if let Some(binding) = binding.filter(|_| device == DeviceChoice::Webgpu)
        && model.largest_tensor_bytes > binding
    {
        return Fit::BeyondBinding(binding);
    }
    match machine {
        Some(machine) if memory > machine * TIGHT => Fit::Tight(machine),
        _ => Fit::Fits,
    }
}

impl Outlook {
    /// How long a picture takes.
    pub fn time_words(&self, model: &ModelDetails) -> String {
        let (width, height) = model.native_size;
        let steps = if model.steps == 1 { "1 step".to_owned() } else { format!("{} steps", model.steps) };
        let time = duration(self.seconds);
        format!("A picture of {width} × {height} in {steps} will take {time} on the {}", device_word(self.device))
    }

    /// Whether this device can hold it.
    pub fn fit_words(&self) -> String {
        let needs = bytes(self.memory_bytes);
        match self.fit {
            Fit::Fits => format!("It takes about {needs} of memory, which this device can hold"),
            Fit::Tight(machine) => format!(
                "It takes about {needs} of memory, most of the {} that this machine has; close other pages first",
                bytes(machine)
            ),
            Fit::BeyondWasm(limit) => format!(
                "It takes about {needs} of memory, and a page can have at most {} here; choose a smaller model",
                bytes(limit)
            ),
            Fit::BeyondBinding(limit) => format!(
                "One of its tensors is larger than the {} that this GPU takes at once; choose a smaller model",
                bytes(limit)
            ),
        }
    }

    /// What else the visitor should know.
    pub fn caution(&self) -> Option<&'static str> {
        match (self.is_software, self.device) {
            (true, DeviceChoice::Webgpu) => {
                Some("The GPU here is software and far slower than the CPU; choose the CPU to be faster")
            }
            (true, _) => Some("The only GPU here is software, so the CPU does the work"),
            (false, _) => None,
        }
    }

    /// It will not run here.
    pub const fn is_hopeless(&self) -> bool {
        matches!(self.fit, Fit::BeyondWasm(_) | Fit::BeyondBinding(_))
    }
}

const fn device_word(device: DeviceChoice) -> &'static str {
    match device {
        DeviceChoice::Webgpu => "GPU",
        DeviceChoice::Auto | DeviceChoice::Cpu => "CPU",
    }
}

/// A time, no finer than an estimate from other work is.
fn duration(seconds: f64) -> String {
    if seconds < 90.0 {
        about(seconds)
    } else if seconds < 5400.0 {
        format!("about {:.0} min", seconds / 60.0)
    } else {
        format!("about {:.0} h", seconds / 3600.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::{Adapter, DeviceSpeed, ModelCost};

    fn sd15() -> ModelDetails {
        ModelDetails {
            manifest_url: String::new(),
            name: "sd15".to_owned(),
            family: "Stable Diffusion 1.x".to_owned(),
            file: "sd15.gguf".to_owned(),
            size_bytes: 1.2e9,
            parts: Vec::new(),
            native_size: (512, 512),
            steps: 20,
            guidance: 7.5,
            parameters: 1.07e9,
            largest_tensor_bytes: 40e6,
            cost: ModelCost { unet_macs: 401.6e9, preview_macs: 0.0, decode_macs: 1257.3e9, activation_bytes: 0.8e9 },
        }
    }

    fn probe(is_software: bool, gpu: f64) -> ProbeReport {
        let name = "a GPU".to_owned();
        ProbeReport {
            adapter: Some(Adapter { name, is_software, max_buffer_bytes: 1e9, max_binding_bytes: 1.28e8 }),
            speeds: vec![
                DeviceSpeed { device: DeviceChoice::Cpu, gflops: 10.0 },
                DeviceSpeed { device: DeviceChoice::Webgpu, gflops: gpu },
            ],
            wasm_limit_bytes: 4_294_967_296.0,
            seconds: 5.0,
        }
    }

    #[test]
    fn a_real_gpu_takes_operations_by_speed() {
        let outlook = outlook(&sd15(), &probe(false, 1000.0), DeviceChoice::Auto, Some(8e9)).unwrap();
        let expected = 2.0 * (20.0 * 2.0 * 401.6 + 1257.3) / 1000.0;
        assert!((outlook.seconds - expected).abs() < 1e-9);
        assert_eq!(outlook.time_words(&sd15()), "A picture of 512 × 512 in 20 steps will take about 35 s on the GPU");
        assert_eq!(outlook.fit_words(), "It takes about 2.00 GB of memory, which this device can hold");
        assert_eq!(outlook.caution(), None);
    }

    #[test]
    fn a_software_adapter_leaves_the_work_to_the_cpu_which_unpacks_the_weights() {
        let outlook = outlook(&sd15(), &probe(true, 1.0), DeviceChoice::Auto, None).unwrap();
        assert_eq!((outlook.device, outlook.fit), (DeviceChoice::Cpu, Fit::BeyondWasm(4_294_967_296.0)));
        assert!(outlook.is_hopeless());
        assert!(outlook.time_words(&sd15()).ends_with("about 58 min on the CPU"), "{}", outlook.time_words(&sd15()));
        assert!(outlook.caution().unwrap().contains("software"));
    }

    #[test]
    fn limits_of_the_gpu_and_of_the_machine_are_told() {
        let large = ModelDetails { largest_tensor_bytes: 2e8, ..sd15() };
        let on_gpu = |model: &ModelDetails, machine| {
            outlook(model, &probe(false, 1000.0), DeviceChoice::Webgpu, machine).unwrap().fit
        };
        assert_eq!(on_gpu(&large, None), Fit::BeyondBinding(1.28e8));
        assert_eq!(on_gpu(&sd15(), Some(2e9)), Fit::Tight(2e9));
    }

    #[test]
    fn without_a_measurement_nothing_is_promised() {
        let unmeasured = ProbeReport { speeds: Vec::new(), ..probe(false, 0.0) };
        assert_eq!(outlook(&sd15(), &unmeasured, DeviceChoice::Auto, None), None);
    }
}
