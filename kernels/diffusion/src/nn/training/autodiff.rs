//! How the operations stand in the graph.

use super::{ConvShape, TrainingOps};
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
struct Conv2dBackward;

impl<B: TrainingOps> Backward<B, 3> for Conv2dBackward {
    type State = (NodeId, NodeId, ConvShape);

    fn backward(self, ops: Ops<Self::State, 3>, grads: &mut Gradients, checkpointer: &mut Checkpointer) {
        let (input, weight, shape) = ops.state;
        let gradient = grads.consume::<B>(&ops.node);
        let [input, weight] = [input, weight].map(|id| checkpointer.retrieve_node_output::<FloatTensor<B>>(id));
        register::<B>(
            ops.parents.map(|parent| parent.map(|node| node.id)),
            B::train_conv2d_backward(input, weight, gradient, shape),
            grads,
        );
    }
}

#[derive(Debug)]
struct GroupNormBackward;

impl<B: TrainingOps> Backward<B, 3> for GroupNormBackward {
    type State = (NodeId, NodeId, NodeId, usize, f32, bool);

    fn backward(self, ops: Ops<Self::State, 3>, grads: &mut Gradients, checkpointer: &mut Checkpointer) {
        let (input, weight, bias, groups, epsilon, silu) = ops.state;
        let gradient = grads.consume::<B>(&ops.node);
        let [input, weight, bias] =
            [input, weight, bias].map(|id| checkpointer.retrieve_node_output::<FloatTensor<B>>(id));
        let gradients = B::train_group_norm_backward(input, weight, bias, gradient, groups, epsilon, silu);
        register::<B>(ops.parents.map(|parent| parent.map(|node| node.id)), gradients, grads);
    }
}

#[derive(Debug)]
struct LayerNormBackward;

impl<B: TrainingOps> Backward<B, 3> for LayerNormBackward {
    type State = (NodeId, NodeId, f32);

    fn backward(self, ops: Ops<Self::State, 3>, grads: &mut Gradients, checkpointer: &mut Checkpointer) {
        let (input, weight, epsilon) = ops.state;
        let gradient = grads.consume::<B>(&ops.node);
        let [input, weight] = [input, weight].map(|id| checkpointer.retrieve_node_output::<FloatTensor<B>>(id));
        register::<B>(
            ops.parents.map(|parent| parent.map(|node| node.id)),
            B::train_layer_norm_backward(input, weight, gradient, epsilon),
            grads,
        );
    }
}

#[derive(Debug)]
struct LinearBackward;

impl<B: TrainingOps> Backward<B, 3> for LinearBackward {
    type State = (NodeId, NodeId);

    fn backward(self, ops: Ops<Self::State, 3>, grads: &mut Gradients, checkpointer: &mut Checkpointer) {
        let (input, weight) = ops.state;
        let gradient = grads.consume::<B>(&ops.node);
        let [input, weight] = [input, weight].map(|id| checkpointer.retrieve_node_output::<FloatTensor<B>>(id));
        let gradients = B::train_linear_backward(input, weight, gradient);
        register::<B>(ops.parents.map(|parent| parent.map(|node| node.id)), gradients, grads);
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

/// Hands each gradient to the parent that wants one.
fn register<B: TrainingOps>(
    parents: [Option<NodeId>; 3],
    (first, second, third): (FloatTensor<B>, FloatTensor<B>, FloatTensor<B>),
    grads: &mut Gradients,
) {
    for (parent, gradient) in parents.into_iter().zip([first, second, third]) {
        if let Some(id) = parent {
            grads.register::<B>(id, gradient);
        }
    }
}

impl<B: TrainingOps, C: CheckpointStrategy> TrainingOps for Autodiff<B, C> {
    fn train_conv2d(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        shape: ConvShape,
    ) -> FloatTensor<Self> {
        let nodes = [input.node(), weight.node(), bias.node()];
        let [x, w, b] = [&input, &weight, &bias].map(|tensor| tensor.primitive().clone());
        let output = B::train_conv2d(x, w, b, shape);
        match Conv2dBackward.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(mut prep) => {
                let state = (prep.checkpoint(&input), prep.checkpoint(&weight), shape);
                prep.finish(state, output)
            }
            OpsKind::UnTracked(prep) => prep.finish(output),
        }
    }

    fn train_conv2d_backward(
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: ConvShape,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        unreachable!("{TWICE}")
    }

    fn train_group_norm(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        groups: usize,
        epsilon: f32,
        silu: bool,
    ) -> FloatTensor<Self> {
        let nodes = [input.node(), weight.node(), bias.node()];
        let [x, w, b] = [&input, &weight, &bias].map(|tensor| tensor.primitive().clone());
        let output = B::train_group_norm(x, w, b, groups, epsilon, silu);
        match GroupNormBackward.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(mut prep) => {
                let state =
                    (prep.checkpoint(&input), prep.checkpoint(&weight), prep.checkpoint(&bias), groups, epsilon, silu);
                prep.finish(state, output)
            }
            OpsKind::UnTracked(prep) => prep.finish(output),
        }
    }

    fn train_group_norm_backward(
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: usize,
        _: f32,
        _: bool,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        unreachable!("{TWICE}")
    }

    fn train_layer_norm(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        epsilon: f32,
    ) -> FloatTensor<Self> {
        let nodes = [input.node(), weight.node(), bias.node()];
        let [x, w, b] = [&input, &weight, &bias].map(|tensor| tensor.primitive().clone());
        let output = B::train_layer_norm(x, w, b, epsilon);
        match LayerNormBackward.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(mut prep) => {
                let state = (prep.checkpoint(&input), prep.checkpoint(&weight), epsilon);
                prep.finish(state, output)
            }
            OpsKind::UnTracked(prep) => prep.finish(output),
        }
    }

    fn train_layer_norm_backward(
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: f32,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        unreachable!("{TWICE}")
    }

    fn train_linear(input: FloatTensor<Self>, weight: FloatTensor<Self>, bias: FloatTensor<Self>) -> FloatTensor<Self> {
        let nodes = [input.node(), weight.node(), bias.node()];
        let [x, w, b] = [&input, &weight, &bias].map(|tensor| tensor.primitive().clone());
        let output = B::train_linear(x, w, b);
        match LinearBackward.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(mut prep) => {
                let state = (prep.checkpoint(&input), prep.checkpoint(&weight));
                prep.finish(state, output)
            }
            OpsKind::UnTracked(prep) => prep.finish(output),
        }
    }

    fn train_linear_backward(
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
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
