//! What all jobs share.

use super::{
    catalogue::Catalogue, checker::Checker, compute::Compute, drain::Drain, edge::Edge, health::Health,
    metrics::Metrics,
};
use api::node::{LeaseRequest, VERSION};
use std::sync::Arc;

/// The node itself.
pub struct Node {
    /// Where work comes from.
    pub edge: Edge,
    /// What it can do.
    pub catalogue: Arc<Catalogue>,
    /// Where it is done.
    pub compute: Compute,
    /// Who judges pictures.
    pub checker: Option<Arc<dyn Checker>>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// How it is.
    pub health: Arc<Health>,
    /// Whether it ends.
    pub drain: Drain,
    /// Its own name.
    pub name: String,
    /// What it computes on, for people.
    pub device: String,
    /// Jobs that it works on at a time.
    pub slots: u32,
    /// Bytes that models may take.
    pub budget: u64,
}

impl Node {
    /// Asks for at most `wanted` jobs, and waits for them.
    pub fn lease_request(&self, wanted: u32, wait_seconds: u32) -> LeaseRequest {
        let has_checker = self.checker.is_some();
        LeaseRequest {
            version: VERSION,
            node: self.name.clone(),
            device: self.device.clone(),
            models: self.catalogue.offers(self.budget, has_checker),
            has_checker,
            slots: self.slots,
            wanted,
            wait_seconds,
        }
    }
}
