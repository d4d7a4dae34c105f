//! Words for devices.

use protocol::DeviceChoice;

/// Every choice, in the order the menu shows them.
pub const ALL: [DeviceChoice; 3] = [DeviceChoice::Auto, DeviceChoice::Webgpu, DeviceChoice::Cpu];

/// The word in addresses and data attributes.
pub const fn word(device: DeviceChoice) -> &'static str {
    match device {
        DeviceChoice::Auto => "auto",
        DeviceChoice::Webgpu => "webgpu",
        DeviceChoice::Cpu => "cpu",
    }
}

/// The choice that [`word`] names.
pub fn from_word(text: &str) -> Option<DeviceChoice> {
    ALL.into_iter().find(|&device| word(device) == text)
}

/// The name that users read.
pub const fn label(device: DeviceChoice) -> &'static str {
    match device {
        DeviceChoice::Auto => "Auto",
        DeviceChoice::Webgpu => "GPU (WebGPU)",
        DeviceChoice::Cpu => "CPU",
    }
}
