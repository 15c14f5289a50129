//! What a convolution can compute along: everything that follows it up to the
//! activation.
//!
//! The chain is recognised in what tract-onnx translates the operators to: a batch
//! normalisation is a product and a sum, `Relu` a maximum, `HardSigmoid` four
//! operators. A value that something else reads as well ends the chain.

use std::{collections::HashSet, sync::Arc};

use lusk_conv::Activation;
use tract_onnx::{
    prelude::{DatumType, OutletId, Tensor, TypedModel, TypedNode},
    tract_core::ops::{
        binary::TypedBinOp,
        cnn::{Conv, KernelFormat, PoolSpec},
        element_wise::ElementWiseOp,
        math::{Add, Div, Max, Min, Mul, Sub, Tanh},
        nn::{DataFormat, HardSwish, LeakyRelu, Sigmoid, Silu},
    },
    tract_hir::internal::*,
};

use super::{
    constant::{number, per_channel},
    geometry::{Image, planar},
};

/// How far a factor may be from the one that names an activation.
const TOLERANCE: f32 = 1e-6;

/// A convolution and what follows it.
#[derive(Debug)]
pub(super) struct Chain {
    /// What is convolved.
    pub(super) input: OutletId,
    /// Its window, in two dimensions.
    pub(super) spec: PoolSpec,
    pub(super) groups: usize,
    pub(super) kernel: Arc<Tensor>,
    /// What is done to each channel of the sums.
    pub(super) affine: Affine,
    /// An image that is added after that.
    pub(super) addend: Option<OutletId>,
    pub(super) activation: Activation,
    /// The value that comes out.
    pub(super) last: OutletId,
    /// The nodes that become one.
    pub(super) nodes: Vec<usize>,
}

/// `scale * x + shift` with numbers for each channel.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Affine {
    pub(super) scale: Vec<f32>,
    pub(super) shift: Vec<f32>,
}

impl Chain {
    /// The chain that starts at a convolution of floats with constant weights.
    /// Nodes that are `claimed` belong to others.
    pub(super) fn starting_at(
        model: &TypedModel,
        node: &TypedNode,
        claimed: &HashSet<usize>,
    ) -> TractResult<Option<Self>> {
        let Some(conv) = node.op_as::<Conv>() else {
            return Ok(None);
        };
        let [input, kernel, bias] = *node.inputs else {
            return Ok(None);
        };
        let is_usual = conv.q_params.is_none()
            && conv.kernel_fmt == KernelFormat::OIHW
            && conv.pool_spec.data_format == DataFormat::NCHW;
        let kernel = model.outlet_fact(kernel)?.konst.clone();
        let (true, Some(kernel), Some(spec)) = (is_usual, kernel, planar(&conv.pool_spec)?) else {
            return Ok(None);
        };
        let channels = spec.output_channels;
        let fact = model.outlet_fact(bias)?;
        let shift = match number(model, bias) {
            Some(bias) => vec![bias; channels],
            None => match &fact.konst {
                Some(bias) if bias.len() == channels => {
                    bias.try_as_plain_ram()?.as_slice::<f32>()?.to_vec()
                }
                _ => return Ok(None),
            },
        };
        let last = OutletId::new(node.id, 0);
        if kernel.datum_type() != DatumType::F32
            || Image::of(model.outlet_fact(input)?).is_none()
            || Image::of(model.outlet_fact(last)?).is_none()
        {
            return Ok(None);
        }
        let mut chain = Self {
            input,
            spec,
            groups: conv.group,
            kernel,
            affine: Affine {
                scale: vec![1.0; channels],
                shift,
            },
            addend: None,
            activation: Activation::None,
            last,
            nodes: vec![node.id],
        };
        let walk = Walk { model, claimed };
        while chain.take_linear(&walk) {}
        chain.take_activation(&walk);
        Ok(Some(chain))
    }

    /// Takes the next sum or product along, if it is one.
    fn take_linear(&mut self, walk: &Walk) -> bool {
        let Some(node) = walk.only_reader(self.last) else {
            return false;
        };
        let Some((kind, other)) = Binary::of(node, self.last) else {
            return false;
        };
        let rank = walk.rank(self.last);
        let constant = per_channel(walk.model, other, rank, self.affine.scale.len());
        let taken = match constant {
            Some(numbers) => self.affine.then(kind, &numbers, self.addend.is_some()),
            None => self.take_addend(walk, kind, other),
        };
        if taken {
            self.advance(node);
        }
        taken
    }

    fn take_addend(&mut self, walk: &Walk, kind: Binary, other: OutletId) -> bool {
        let fits = kind == Binary::Add
            && self.addend.is_none()
            && other != self.last
            && walk.same_image(other, self.last);
        if fits {
            self.addend = Some(other);
        }
        fits
    }

    fn take_activation(&mut self, walk: &Walk) {
        if let Some(found) = gated(walk, self.last) {
            self.activation = found.0;
            for id in found.1 {
                self.advance(walk.model.node(id));
            }
            return;
        }
        if let Some(node) = walk.only_reader(self.last)
            && let Some(activation) = element_wise(node)
        {
            self.activation = activation;
            self.advance(node);
            return;
        }
        let mut bounds = Bounds::default();
        while let Some(node) = walk.only_reader(self.last)
            && let Some((kind, other)) = Binary::of(node, self.last)
            && let Some(bound) = number(walk.model, other)
            && let Some(tighter) = bounds.and(kind, bound)
        {
            bounds = tighter;
            self.advance(node);
        }
        self.activation = bounds.activation();
    }

    fn advance(&mut self, node: &TypedNode) {
        self.last = OutletId::new(node.id, 0);
        self.nodes.push(node.id);
    }
}

impl Affine {
    /// Adds a step; `false` leaves it as it was. After an image was added, only
    /// sums can still be moved before it.
    fn then(&mut self, kind: Binary, numbers: &[f32], after_addend: bool) -> bool {
        let is_sum = matches!(kind, Binary::Add | Binary::Sub);
        if after_addend && !is_sum {
            return false;
        }
        let mut next = self.clone();
        let channels = next.scale.iter_mut().zip(&mut next.shift).zip(numbers);
        for ((scale, shift), number) in channels {
            match kind {
                Binary::Add => *shift += number,
                Binary::Sub => *shift -= number,
                Binary::SubFrom => {
                    *scale = -*scale;
                    *shift = number - *shift;
                }
                Binary::Mul => {
                    *scale *= number;
                    *shift *= number;
                }
                Binary::Div => {
                    *scale /= number;
                    *shift /= number;
                }
                _ => return false,
            }
        }
        let all_finite = next.scale.iter().chain(&next.shift).all(|x| x.is_finite());
        if all_finite {
            *self = next;
        }
        all_finite
    }
}

/// An operator of two values, seen from one of them, `x`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Binary {
    Add,
    /// `x - other`
    Sub,
    /// `other - x`
    SubFrom,
    Mul,
    /// `x / other`
    Div,
    Max,
    Min,
}

impl Binary {
    /// What a node does to `x`, and the other value. `None` for other operators
    /// and for two times the same value.
    pub(super) fn of(node: &TypedNode, x: OutletId) -> Option<(Self, OutletId)> {
        let TypedBinOp(op, _) = node.op_as::<TypedBinOp>()?;
        let (is_left, other) = match *node.inputs {
            [left, right] if left == right => return None,
            [left, right] if left == x => (true, right),
            [left, right] if right == x => (false, left),
            _ => return None,
        };
        let kind = if op.is::<Add>() {
            Self::Add
        } else if op.is::<Sub>() {
            if is_left { Self::Sub } else { Self::SubFrom }
        } else if op.is::<Mul>() {
            Self::Mul
        } else if op.is::<Div>() && is_left {
            Self::Div
        } else if op.is::<Max>() {
            Self::Max
        } else if op.is::<Min>() {
            Self::Min
        } else {
            return None;
        };
        Some((kind, other))
    }
}

/// A look at the graph behind a value.
struct Walk<'a> {
    model: &'a TypedModel,
    claimed: &'a HashSet<usize>,
}

impl<'a> Walk<'a> {
    /// The nodes that read a value, if nobody else does.
    fn readers(&self, outlet: OutletId) -> Option<Vec<&'a TypedNode>> {
        let is_output = self.model.outputs.contains(&outlet);
        let output = self.model.node(outlet.node).outputs.get(outlet.slot)?;
        let nodes: Vec<_> = output
            .successors
            .iter()
            .map(|inlet| self.model.node(inlet.node))
            .collect();
        let is_free = nodes.iter().all(|node| !self.claimed.contains(&node.id));
        (!is_output && is_free).then_some(nodes)
    }

    fn only_reader(&self, outlet: OutletId) -> Option<&'a TypedNode> {
        match *self.readers(outlet)? {
            [node] => Some(node),
            _ => None,
        }
    }

    fn rank(&self, outlet: OutletId) -> usize {
        self.model.outlet_fact(outlet).map_or(0, |fact| fact.rank())
    }

    fn same_image(&self, one: OutletId, other: OutletId) -> bool {
        let image = |outlet| self.model.outlet_fact(outlet).ok().and_then(Image::of);
        let rank = self.rank(one) == self.rank(other);
        rank && image(one).is_some() && image(one) == image(other)
    }
}

fn element_wise(node: &TypedNode) -> Option<Activation> {
    let ElementWiseOp(op, _) = node.op_as::<ElementWiseOp>()?;
    if op.is::<Sigmoid>() {
        Some(Activation::Sigmoid)
    } else if op.is::<Silu>() {
        Some(Activation::Silu)
    } else if op.is::<HardSwish>() {
        Some(Activation::HardSwish)
    } else if op.is::<Tanh>() {
        Some(Activation::Tanh)
    } else {
        let leaky = op.downcast_ref::<LeakyRelu>()?;
        Some(Activation::LeakyRelu(leaky.alpha))
    }
}

/// `x` times a function of `x`, and the nodes that compute it.
fn gated(walk: &Walk, x: OutletId) -> Option<(Activation, Vec<usize>)> {
    let readers = walk.readers(x)?;
    let [one, other] = *readers else {
        return None;
    };
    let is_product = |node: &TypedNode| matches!(Binary::of(node, x), Some((Binary::Mul, gate)) if number(walk.model, gate).is_none());
    let (product, first) = match (is_product(one), is_product(other)) {
        (true, false) => (one, other),
        (false, true) => (other, one),
        _ => return None,
    };
    let (_, gate) = Binary::of(product, x)?;
    if first
        .op_as::<ElementWiseOp>()
        .is_some_and(|op| op.0.is::<Sigmoid>())
    {
        let is_gate = gate == OutletId::new(first.id, 0);
        let alone = walk.only_reader(gate).is_some();
        return (is_gate && alone).then(|| (Activation::Silu, vec![first.id, product.id]));
    }
    let mut line = Line::default();
    let mut at = x;
    let mut node = first;
    let mut nodes = Vec::new();
    while node.id != product.id {
        let (kind, constant) = Binary::of(node, at)?;
        line = line.then(kind, number(walk.model, constant)?)?;
        nodes.push(node.id);
        at = OutletId::new(node.id, 0);
        node = walk.only_reader(at)?;
    }
    nodes.push(product.id);
    if at != gate {
        return None;
    }
    if line.is_hard_sigmoid() {
        return Some((Activation::HardSwish, nodes));
    }
    // Some exporters divide last.
    let node = walk.only_reader(OutletId::new(product.id, 0))?;
    let (kind, constant) = Binary::of(node, OutletId::new(product.id, 0))?;
    nodes.push(node.id);
    let line = line.then(kind, number(walk.model, constant)?)?;
    let is_factor = matches!(kind, Binary::Mul | Binary::Div);
    (is_factor && line.is_hard_sigmoid()).then_some((Activation::HardSwish, nodes))
}

/// `clamp(slope * x + offset, low, high)`.
#[derive(Debug, Clone, Copy)]
struct Line {
    slope: f32,
    offset: f32,
    low: f32,
    high: f32,
}

impl Default for Line {
    fn default() -> Self {
        Self {
            slope: 1.0,
            offset: 0.0,
            low: f32::NEG_INFINITY,
            high: f32::INFINITY,
        }
    }
}

impl Line {
    fn then(self, kind: Binary, number: f32) -> Option<Self> {
        let each = |f: &dyn Fn(f32) -> f32| Self {
            slope: self.slope,
            offset: f(self.offset),
            low: f(self.low),
            high: f(self.high),
        };
        let factor = |factor: f32| Self {
            slope: self.slope * factor,
            ..each(&|x| x * factor)
        };
        match kind {
            Binary::Add => Some(each(&|x| x + number)),
            Binary::Sub => Some(each(&|x| x - number)),
            Binary::Mul if number > 0.0 => Some(factor(number)),
            Binary::Div if number > 0.0 => Some(factor(1.0 / number)),
            Binary::Max => Some(Self {
                low: self.low.max(number),
                high: self.high.max(number),
                ..self
            }),
            Binary::Min => Some(Self {
                low: self.low.min(number),
                high: self.high.min(number),
                ..self
            }),
            _ => None,
        }
    }

    fn is_hard_sigmoid(self) -> bool {
        let near = |x: f32, y: f32| (x - y).abs() < TOLERANCE;
        near(self.slope, 1.0 / 6.0)
            && near(self.offset, 0.5)
            && near(self.low, 0.0)
            && near(self.high, 1.0)
    }
}

/// What a value is kept between.
#[derive(Debug, Clone, Copy, Default)]
struct Bounds {
    low: Option<f32>,
    high: Option<f32>,
}

impl Bounds {
    /// With one more bound; `None` where that is not one clamp any more.
    fn and(self, kind: Binary, bound: f32) -> Option<Self> {
        let next = match kind {
            Binary::Max if self.low.is_none() => Self {
                low: Some(bound),
                ..self
            },
            Binary::Min if self.high.is_none() => Self {
                high: Some(bound),
                ..self
            },
            _ => return None,
        };
        let in_order = next.low.unwrap_or(f32::NEG_INFINITY) <= next.high.unwrap_or(f32::INFINITY);
        in_order.then_some(next)
    }

    fn activation(self) -> Activation {
        match (self.low, self.high) {
            (None, None) => Activation::None,
            (Some(0.0), None) => Activation::Relu,
            (low, high) => Activation::Clamp {
                low: low.unwrap_or(f32::NEG_INFINITY),
                high: high.unwrap_or(f32::INFINITY),
            },
        }
    }
}
