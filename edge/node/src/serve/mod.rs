//! `darkroom serve`: a GPU node of the service.
//!
//! The node asks the edge for work and is never called by it (`api::node` is the protocol). Three parts run beside each other:
//! the lease loop asks for jobs while slots are free; a task for each job fetches its inputs, reports how far it is, uploads its
//! pictures and ends its lease; and one thread owns the models and computes, jobs of the same kind together. Nothing is kept on
//! disk: a node that is killed has lost nothing that the edge does not give to another.
//!
//! # Refused on purpose
//!
//! - Addresses: inputs come from the edge as bytes, so a node never fetches what a user names.
//! - Pictures that must be checked, and judgements, where the node has no checker: to leave a picture unchecked would be worse.
//! - Previews of pictures that must be checked: nobody has judged them, and what they show is what the checker would hide.
//! - The benefit of the doubt: a check that fails, talks nonsense or takes too long flags the picture (`checker`).

mod backoff;
mod blocking;
mod catalogue;
mod censor;
mod checker;
mod compute;
mod device;
mod drain;
mod edge;
mod finish;
mod guard;
mod health;
mod http;
mod inputs;
mod job;
mod keep_alive;
mod lease_loop;
mod log;
mod metrics;
mod models;
mod node;
mod observer;
mod painter;
mod safety_network;
mod secret;
mod watch;

use crate::device::DeviceKind;
use anyhow::{Context as _, Result};
use burn::tensor::Device;
use catalogue::Catalogue;
use checker::Checker;
use clap::Args;
use compute::Compute;
use device::DeviceChoice;
use drain::Drain;
use edge::Edge;
use health::Health;
use log::LogFormat;
use metrics::Metrics;
use models::Models;
use node::Node;
use painter::Painter;
use safety_network::SafetyNetwork;
use secret::Token;
use std::{
    hash::{BuildHasher as _, RandomState},
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

/// Jobs at a time where the device gains by batches.
const SLOTS: u32 = 4;

/// Where work comes from, and what it is done with.
#[derive(Debug, Args)]
pub struct Serve {
    /// Address of the edge that gives out work
    #[arg(long, env = "DARKROOM_EDGE", value_name = "URL")]
    edge: String,
    /// The node token, better given as the variable, since other users of the machine see command lines
    #[arg(long, env = "DARKROOM_TOKEN", hide_env_values = true)]
    token: Token,
    /// Folder whose folders and GGUF files are the models, or a model itself
    #[arg(long, env = "DARKROOM_MODELS", value_name = "DIR")]
    models: PathBuf,
    /// Device to draw on
    #[arg(long, env = "DARKROOM_DEVICE", value_enum, default_value_t = DeviceChoice::Auto)]
    device: DeviceChoice,
    /// Jobs to work on at a time, 1 to 64; what is alike among them is computed as one [default: 1 on a CPU, else 4]
    #[arg(long, env = "DARKROOM_SLOTS", value_name = "N", value_parser = clap::value_parser!(u32).range(1..=64))]
    slots: Option<u32>,
    /// Folder of the safety checker that judges pictures, or a model folder that has one [default: none, so that this node
    /// judges no pictures and makes none that must be checked]
    #[arg(long, env = "DARKROOM_SAFETY_CHECKER", value_name = "DIR")]
    safety_checker: Option<PathBuf>,
    /// Folder of the LoRAs that prompts may name as `<lora:NAME:0.8>` [default: none, so that such prompts are refused]
    #[arg(long, env = "DARKROOM_LORA_DIR", value_name = "DIR")]
    lora_dir: Option<PathBuf>,
    /// Memory that the weights of the models and the checker may take; a run takes more beside them
    #[arg(long, env = "DARKROOM_MEMORY_BUDGET", value_name = "MB", default_value_t = 8192)]
    memory_budget: u64,
    /// The node's name, for people [default: a random one]
    #[arg(long, env = "DARKROOM_NAME")]
    name: Option<String>,
    /// Address for /livez, /readyz and /metrics [default: none]
    #[arg(long, env = "DARKROOM_HTTP", value_name = "ADDRESS")]
    http: Option<SocketAddr>,
    /// How lines on standard error look [default: json, or text on a terminal]
    #[arg(long, env = "DARKROOM_LOG", value_enum)]
    log: Option<LogFormat>,
}

impl Serve {
    /// Works until a signal ends it.
    pub fn run(self) -> Result<()> {
        log::start(self.log);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .context("could not start the threads that speak to the edge")?;
        let served = runtime.block_on(self.serve());
        // A step of the device that nobody waits for must not hold the end up.
        runtime.shutdown_background();
        served
    }

    async fn serve(self) -> Result<()> {
        let edge = Edge::new(&self.edge, &self.token)?;
        let (health, metrics) = (Arc::new(Health::default()), Arc::new(Metrics::default()));
        let drain = Drain::on_signals(Arc::clone(&health))?;
        if let Some(address) = self.http {
            http::serve(address, Arc::clone(&health), Arc::clone(&metrics)).await?;
        }
        let (choice, folder, checker) = (self.device, self.models, self.safety_checker);
        let opened = tokio::task::spawn_blocking(move || Opened::of(choice, &folder, checker.as_deref()));
        let Opened { kind, device, catalogue, checker } = tokio::select! {
            opened = opened => opened.context("looking for models broke off")??,
            _ = drain.begun() => return Ok(()),
        };
        let taken = checker.as_ref().map_or(0, SafetyNetwork::bytes);
        let checker = checker.map(|network| Arc::new(network) as Arc<dyn Checker>);
        let budget = self.memory_budget.saturating_mul(1 << 20).saturating_sub(taken);
        let catalogue = Arc::new(catalogue);
        let slots = self.slots.unwrap_or(if kind == DeviceKind::Cpu { 1 } else { SLOTS });
        let name = self.name.unwrap_or_else(|| format!("node-{:08x}", RandomState::new().hash_one(0) >> 32));
        told(&catalogue, budget, &name, kind, slots, checker.is_some());

        let models = {
            let (catalogue, metrics) = (Arc::clone(&catalogue), Arc::clone(&metrics));
            let loras = self.lora_dir;
            move || Painter::new(Models::new(catalogue, device, budget, metrics).with_loras(loras))
        };
        let compute = Compute::start(slots as usize, Arc::clone(&metrics), Arc::clone(&health), models)
            .context("could not start the thread that computes")?;
        let device = device::word_of(kind).to_owned();
        let over = drain.clone();
        let node = Node { edge, catalogue, compute, checker, metrics, health, drain, name, device, slots, budget };
        tokio::select! {
            () = lease_loop::run(Arc::new(node)) => log::info("drained", &[]),
            () = over.over() => log::warn("ended before every lease could be ended", &[]),
        }
        Ok(())
    }
}

/// What takes its time to open.
struct Opened {
    kind: DeviceKind,
    device: Device,
    catalogue: Catalogue,
    checker: Option<SafetyNetwork>,
}

impl Opened {
    fn of(choice: DeviceChoice, models: &Path, checker: Option<&Path>) -> Result<Self> {
        let (kind, device) = choice.open()?;
        let checker = checker.map(|folder| SafetyNetwork::start(folder, &device)).transpose()?;
        let catalogue = Catalogue::of(models, kind != DeviceKind::Cpu)?;
        Ok(Self { kind, device, catalogue, checker })
    }
}

/// Says what the node can do, and what it cannot.
fn told(catalogue: &Catalogue, budget: u64, name: &str, kind: DeviceKind, slots: u32, has_checker: bool) {
    for entry in catalogue.entries().iter().filter(|entry| entry.bytes > budget) {
        let (model, needed) = (entry.offer.id.as_str(), entry.bytes >> 20);
        log::warn(
            "a model is not offered, since it does not fit the memory budget",
            &[("model", model.into()), ("needed_mb", needed.into()), ("budget_mb", (budget >> 20).into())],
        );
    }
    let models: Vec<_> =
        catalogue.offers(budget, has_checker).into_iter().map(|offer| String::from(offer.id)).collect();
    log::info(
        "node started",
        &[
            ("node", name.into()),
            ("device", device::word_of(kind).into()),
            ("slots", slots.into()),
            ("models", models.into()),
            ("judges", has_checker.into()),
        ],
    );
}
