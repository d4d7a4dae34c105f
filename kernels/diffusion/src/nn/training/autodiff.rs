//! How the operations stand in the graph.

use super::{Layer, TrainingOps};
use burn::backend::{
    Autodiff,
    autodiff::{
        NodeId,
        checkpoint::{base::Checkpointer, strategy::CheckpointStrategy},
        grads::Gradients,
        ops::{Backward, Ops, OpsKind},
    },
    tensor::FloatTensor,
};

const TWICE: &str = "the trainer asks for no gradient of a gradient";

#[derive(Debug)]
struct LayerBackward;

impl<B: TrainingOps> Backward<B, 3> for LayerBackward {
    type State = ([NodeId; 3], Layer);

    fn backward(self, ops: Ops<Self::State, 3>, grads: &mut Gradients, checkpointer: &mut Checkpointer) {
        let (inputs, layer) = ops.state;
        let gradient = grads.consume::<B>(&ops.node);
        let [input, weight, bias] = inputs.map(|id| checkpointer.retrieve_node_output::<FloatTensor<B>>(id));
        let (input, weight, bias) = B::train_layer_backward(input, weight, bias, gradient, layer);
        for (parent, gradient) in ops.parents.into_iter().zip([input, weight, bias]) {
            if let Some(node) = parent {
                grads.register::<B>(node.id, gradient);
            }
        }
    }
}

#[derive(Debug)]
struct GegluBackward;

impl<B: TrainingOps> Backward<B, 1> for GegluBackward {
    type State = NodeId;

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, checkpointer: &mut Checkpointer) {
        let gradient = grads.consume::<B>(&ops.node);
        let input = checkpointer.retrieve_node_output::<FloatTensor<B>>(ops.state);
        let [parent] = ops.parents;
        if let Some(node) = parent {
            grads.register::<B>(node.id, B::train_geglu_backward(input, gradient));
        }
    }
}

impl<B: TrainingOps, C: CheckpointStrategy> TrainingOps for Autodiff<B, C> {
    fn train_layer(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        layer: Layer,
    ) -> FloatTensor<Self> {
        let inputs = [input, weight, bias];
        let nodes = [inputs[0].node(), inputs[1].node(), inputs[2].node()];
        let [x, w, b] = inputs.each_ref().map(|tensor| tensor.primitive().clone());
        let output = B::train_layer(x, w, b, layer);
        match LayerBackward.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(mut prep) => {
                let state = (inputs.each_ref().map(|tensor| prep.checkpoint(tensor)), layer);
                prep.finish(state, output)
            }
            OpsKind::UnTracked(prep) => prep.finish(output),
        }
    }

    fn train_layer_backward(
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: Layer,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        unreachable!("{TWICE}")
    }

    fn train_geglu(input: FloatTensor<Self>) -> FloatTensor<Self> {
        let output = B::train_geglu(input.primitive().clone());
        match GegluBackward.prepare::<C>([input.node()]).compute_bound().stateful() {
            OpsKind::Tracked(mut prep) => {
                let state = prep.checkpoint(&input);
                prep.finish(state, output)
            }
            OpsKind::UnTracked(prep) => prep.finish(output),
        }
    }

    fn train_geglu_backward(_: FloatTensor<Self>, _: FloatTensor<Self>) -> FloatTensor<Self> {
        unreachable!("{TWICE}")
    }
}
