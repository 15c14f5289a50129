//! A model made anew, with images in blocked layout where that is of use.
//!
//! Every value is there in plain layout, in blocked layout, or both; the border
//! operators are put in when somebody asks for the layout that is missing.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use lusk_conv::{BLOCK, Conv, InputLayout};
use tract_onnx::{
    prelude::*,
    tract_core::ops::{
        array::TypedConcat,
        binary::TypedBinOp,
        element_wise::ElementWiseOp,
        math::Tanh,
        nn::{HardSwish, LeakyRelu, Reduce, Reducer, Sigmoid, Silu},
    },
    tract_hir::internal::*,
};

use super::{
    border::{Block, Unblock},
    chain::{Binary, Chain},
    constant::{number, per_channel},
    conv::BlockedConv,
    geometry::{Image, geometry},
    pool::BlockedPool,
    sum::BlockedSum,
    weights::Weights,
};

/// The model in blocked layout; `None` where no convolution can be.
pub(super) fn rewrite(source: &TypedModel, weights: &Weights) -> TractResult<Option<TypedModel>> {
    let mut plan = Plan::default();
    let order = source.eval_order()?;
    for id in &order {
        let node = source.node(*id);
        let Some(chain) = Chain::starting_at(source, node, &plan.inner)? else {
            continue;
        };
        let image = Image::of(source.outlet_fact(chain.input)?).context("not an image")?;
        let Some(geometry) = geometry(&chain.spec, chain.groups, &image.size) else {
            continue;
        };
        if let Some(conv) = weights.conv(geometry, &chain.kernel, &chain.affine)? {
            plan.inner.extend(&chain.nodes);
            plan.ends.insert(chain.last.node, (chain, conv));
        }
    }
    if plan.ends.is_empty() {
        return Ok(None);
    }
    let target = TypedModel {
        symbols: source.symbols.clone(),
        ..TypedModel::default()
    };
    let mut rewrite = Rewrite {
        source,
        weights,
        target,
        plain: HashMap::new(),
        blocked: HashMap::new(),
    };
    for id in order {
        rewrite.node(source.node(id), &plan)?;
    }
    rewrite.finish().map(Some)
}

/// What becomes of the convolutions.
#[derive(Default)]
struct Plan {
    /// The nodes that go into convolutions.
    inner: HashSet<usize>,
    /// Those of them that yield the result.
    ends: HashMap<usize, (Chain, Arc<Conv>)>,
}

struct Rewrite<'a> {
    source: &'a TypedModel,
    weights: &'a Weights,
    target: TypedModel,
    /// Values of the source in plain layout.
    plain: HashMap<OutletId, OutletId>,
    /// And in blocked layout.
    blocked: HashMap<OutletId, OutletId>,
}

impl Rewrite<'_> {
    fn node(&mut self, node: &TypedNode, plan: &Plan) -> TractResult<()> {
        if let Some((chain, conv)) = plan.ends.get(&node.id) {
            return self.convolution(chain, conv);
        }
        if plan.inner.contains(&node.id)
            || self.pooling(node)?
            || self.sum(node)?
            || self.function(node)?
            || self.of_two(node)?
            || self.concatenation(node)?
        {
            return Ok(());
        }
        self.copy(node)
    }

    fn finish(mut self) -> TractResult<TypedModel> {
        // An input that nothing reads is an input all the same.
        for input in self.source.input_outlets()? {
            if !self.plain.contains_key(input) {
                self.copy(self.source.node(input.node))?;
            }
        }
        let inputs = self.source.input_outlets()?.to_vec();
        let outputs = self.source.output_outlets()?.to_vec();
        self.target.inputs = self.all_plain(&inputs)?.to_vec();
        self.target.outputs = self.all_plain(&outputs)?.to_vec();
        for outlet in outputs {
            if let Some(label) = self.source.outlet_label(outlet) {
                let outlet = self.plain[&outlet];
                self.target.set_outlet_label(outlet, label.to_owned())?;
            }
        }
        self.target.properties.clone_from(&self.source.properties);
        Ok(self.target)
    }

    fn convolution(&mut self, chain: &Chain, conv: &Arc<Conv>) -> TractResult<()> {
        let op = BlockedConv {
            conv: conv.clone(),
            spec: chain.spec.clone(),
            activation: chain.activation,
            buffers: self.weights.buffers().clone(),
        };
        let mut inputs = vec![match conv.input_layout() {
            InputLayout::Plain => self.plain(chain.input)?,
            InputLayout::Blocked => self.blocked(chain.input)?,
        }];
        if let Some(addend) = chain.addend {
            inputs.push(self.blocked(addend)?);
        }
        self.put(chain.last, op, &inputs)
    }

    fn pooling(&mut self, node: &TypedNode) -> TractResult<bool> {
        let Some((input, image)) = self.blocked_input(node)? else {
            return Ok(false);
        };
        let Some(pool) = BlockedPool::of(node, &image, self.weights.buffers())? else {
            return Ok(false);
        };
        self.put(OutletId::new(node.id, 0), pool, &[input])?;
        Ok(true)
    }

    fn sum(&mut self, node: &TypedNode) -> TractResult<bool> {
        let Some((input, _)) = self.blocked_input(node)? else {
            return Ok(false);
        };
        let rank = self.source.outlet_fact(node.inputs[0])?.rank();
        let spatial: TVec<usize> = (2..rank).collect();
        let is_sum = node
            .op_as::<Reduce>()
            .is_some_and(|op| op.reducer == Reducer::Sum && op.axes == spatial);
        if is_sum {
            let buffers = self.weights.buffers().clone();
            self.put(OutletId::new(node.id, 0), BlockedSum { buffers }, &[input])?;
        }
        Ok(is_sum)
    }

    /// A function of each number.
    fn function(&mut self, node: &TypedNode) -> TractResult<bool> {
        let Some((input, image)) = self.blocked_input(node)? else {
            return Ok(false);
        };
        let outlet = OutletId::new(node.id, 0);
        let Some(ElementWiseOp(op, _)) = node.op_as::<ElementWiseOp>() else {
            return Ok(false);
        };
        // Lanes without a channel must stay finite: weights of zero do not hide
        // an infinity from a convolution.
        let is_tame = op.is::<Sigmoid>()
            || op.is::<Tanh>()
            || op.is::<Silu>()
            || op.is::<HardSwish>()
            || op.is::<LeakyRelu>();
        if Image::of(self.source.outlet_fact(outlet)?).is_none() || !(is_tame || is_whole(&image)) {
            return Ok(false);
        }
        self.put(outlet, node.op.clone(), &[input])?;
        Ok(true)
    }

    /// A sum, product or the like of two images, or of an image and numbers.
    fn of_two(&mut self, node: &TypedNode) -> TractResult<bool> {
        let outlet = OutletId::new(node.id, 0);
        let (Some(_), Some(image), [left, right]) = (
            node.op_as::<TypedBinOp>(),
            Image::of(self.source.outlet_fact(outlet)?),
            &*node.inputs,
        ) else {
            return Ok(false);
        };
        let is_tame = matches!(
            Binary::of(node, *left),
            Some((
                Binary::Add | Binary::Sub | Binary::Mul | Binary::Max | Binary::Min,
                _
            ))
        );
        let is_any_blocked = [left, right].iter().any(|value| self.is_blocked(**value));
        if !is_any_blocked || !(is_tame || is_whole(&image)) {
            return Ok(false);
        }
        let rank = self.source.outlet_fact(outlet)?.rank();
        let mut inputs = Vec::with_capacity(2);
        for value in [*left, *right] {
            let Some(input) = self.beside(value, &image, rank)? else {
                return Ok(false);
            };
            inputs.push(input);
        }
        self.put(outlet, node.op.clone(), &inputs)?;
        Ok(true)
    }

    /// A value that goes along with a blocked image, itself in blocked layout.
    fn beside(
        &mut self,
        value: OutletId,
        image: &Image,
        rank: usize,
    ) -> TractResult<Option<OutletId>> {
        let name = || format!("{}.blocked", self.source.node(value.node).name);
        if let Some(number) = number(self.source, value) {
            let constant = Tensor::from_shape(&[1; 5], &[number])?;
            return self.target.add_const(name(), constant).map(Some);
        }
        if let Some(mut numbers) = per_channel(self.source, value, rank, image.channels) {
            // Any number will do for the lanes without a channel, but for 0 as
            // a divisor.
            numbers.resize(image.channels.next_multiple_of(BLOCK), 1.0);
            let shape = [1, numbers.len() / BLOCK, 1, 1, BLOCK];
            let constant = Tensor::from_shape(&shape, &numbers)?;
            return self.target.add_const(name(), constant).map(Some);
        }
        let fact = self.source.outlet_fact(value)?;
        let fits = fact.rank() == rank
            && fact.konst.is_none()
            && Image::of(fact).is_some_and(|other| other.channels == image.channels);
        if fits {
            self.blocked(value).map(Some)
        } else {
            Ok(None)
        }
    }

    /// Images put together channel after channel.
    fn concatenation(&mut self, node: &TypedNode) -> TractResult<bool> {
        let is_along_channels = node.op_as::<TypedConcat>().is_some_and(|op| op.axis == 1);
        if !is_along_channels || !node.inputs.iter().any(|input| self.is_blocked(*input)) {
            return Ok(false);
        }
        for input in &node.inputs {
            let image = Image::of(self.source.outlet_fact(*input)?);
            if !image.is_some_and(|image| is_whole(&image)) {
                return Ok(false);
            }
        }
        let inputs = node.inputs.iter().map(|input| self.blocked(*input));
        let inputs: Vec<_> = inputs.collect::<TractResult<_>>()?;
        let outlet = OutletId::new(node.id, 0);
        self.put(outlet, TypedConcat { axis: 1 }, &inputs)?;
        Ok(true)
    }

    /// The node as it is.
    fn copy(&mut self, node: &TypedNode) -> TractResult<()> {
        let inputs = self.all_plain(&node.inputs)?;
        let facts = node.outputs.iter().map(|output| output.fact.clone());
        let name = self.target.unique_name(&*node.name).into_owned();
        let id = self
            .target
            .add_node(name, node.op.clone(), facts.collect::<TVec<_>>())?;
        for (slot, input) in inputs.into_iter().enumerate() {
            self.target.add_edge(input, InletId::new(id, slot))?;
        }
        for slot in 0..node.outputs.len() {
            self.plain
                .insert(OutletId::new(node.id, slot), OutletId::new(id, slot));
        }
        Ok(())
    }

    /// Puts an operator in that yields `value` in blocked layout.
    fn put(
        &mut self,
        value: OutletId,
        op: impl Into<Box<dyn TypedOp>>,
        inputs: &[OutletId],
    ) -> TractResult<()> {
        let name = &self.source.node(value.node).name;
        let name = self.target.unique_name(&**name).into_owned();
        let outlet = self.target.wire_node(name, op, inputs)?[0];
        self.blocked.insert(value, outlet);
        Ok(())
    }

    fn is_blocked(&self, value: OutletId) -> bool {
        self.blocked.contains_key(&value)
    }

    /// The one input of a node, if it is in blocked layout.
    fn blocked_input(&self, node: &TypedNode) -> TractResult<Option<(OutletId, Image)>> {
        let [input] = *node.inputs else {
            return Ok(None);
        };
        let image = Image::of(self.source.outlet_fact(input)?);
        Ok(self.blocked.get(&input).copied().zip(image))
    }

    fn all_plain(&mut self, values: &[OutletId]) -> TractResult<TVec<OutletId>> {
        values.iter().map(|value| self.plain(*value)).collect()
    }

    /// A value in plain layout.
    fn plain(&mut self, value: OutletId) -> TractResult<OutletId> {
        if let Some(outlet) = self.plain.get(&value) {
            return Ok(*outlet);
        }
        let blocked = self
            .blocked
            .get(&value)
            .context("a value is not made yet")?;
        let fact = self.source.outlet_fact(value)?;
        let op = Unblock {
            channels: Image::of(fact).context("not an image")?.channels,
            rank: fact.rank(),
            buffers: self.weights.buffers().clone(),
        };
        let name = format!("{}.plain", self.source.node(value.node).name);
        let name = self.target.unique_name(name).into_owned();
        let outlet = self.target.wire_node(name, op, &[*blocked])?[0];
        self.plain.insert(value, outlet);
        Ok(outlet)
    }

    /// An image in blocked layout.
    fn blocked(&mut self, value: OutletId) -> TractResult<OutletId> {
        if let Some(outlet) = self.blocked.get(&value) {
            return Ok(*outlet);
        }
        let plain = self.plain.get(&value).context("a value is not made yet")?;
        let name = format!("{}.blocked", self.source.node(value.node).name);
        let name = self.target.unique_name(name).into_owned();
        let buffers = self.weights.buffers().clone();
        let outlet = self.target.wire_node(name, Block { buffers }, &[*plain])?[0];
        self.blocked.insert(value, outlet);
        Ok(outlet)
    }
}

/// Whether all lanes hold channels.
fn is_whole(image: &Image) -> bool {
    image.channels.is_multiple_of(BLOCK)
}
