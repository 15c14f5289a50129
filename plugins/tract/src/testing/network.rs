//! Small networks, written as ONNX so that they are what files hold.

use tract_onnx::{
    pb::{
        AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto,
        ValueInfoProto, attribute_proto::AttributeType, tensor_proto::DataType,
    },
    prelude::{
        Datum, Framework, InferenceFact, InferenceModelExt, IntoRunnable, TDim, TValue, TVec,
        Tensor, TractResult, TypedModel, tvec,
    },
};

use crate::{ops, runner::Runner, testing::value};

/// A network that is written layer by layer.
#[derive(Debug, Clone)]
pub(crate) struct Network {
    /// Extents of the input; 0 is open.
    input: Vec<usize>,
    channels: usize,
    graph: GraphProto,
    last: String,
    /// Values, with their channels, that a residual sum may read.
    earlier: Vec<(String, usize, i64)>,
    /// How often the size was changed.
    size: i64,
    names: usize,
}

impl Network {
    pub(crate) fn new(input: &[usize]) -> Self {
        let graph = GraphProto {
            input: vec![value("x", DataType::Float, input.len())],
            ..GraphProto::default()
        };
        Self {
            input: input.to_vec(),
            channels: input[1],
            graph,
            last: "x".into(),
            earlier: Vec::new(),
            size: 0,
            names: 0,
        }
    }

    /// Channels of the latest value.
    pub(crate) fn channels(&self) -> usize {
        self.channels
    }

    /// The latest value.
    pub(crate) fn last(&self) -> String {
        self.last.clone()
    }

    /// Makes the latest value an output.
    pub(crate) fn output(&mut self) {
        let rank = self.input.len();
        let output = value(&self.last, DataType::Float, rank);
        self.graph.output.push(output);
    }

    /// An operator on the latest value and others.
    pub(crate) fn op(&mut self, name: &str, others: &[&str]) {
        self.node(name, others, vec![]);
    }

    pub(crate) fn floats(&mut self, name: &str, attributes: &[(&str, f32)]) {
        let attributes = attributes.iter().map(|(name, value)| AttributeProto {
            name: (*name).into(),
            r#type: AttributeType::Float.into(),
            f: *value,
            ..AttributeProto::default()
        });
        self.node(name, &[], attributes.collect());
    }

    /// An operator on the latest value and a number.
    pub(crate) fn number(&mut self, name: &str, number: f32) {
        let number = self.constant(&[], vec![number]);
        self.op(name, &[&number]);
    }

    pub(crate) fn clip(&mut self, low: f32, high: f32) {
        let low = self.constant(&[], vec![low]);
        let high = self.constant(&[], vec![high]);
        self.op("Clip", &[&low, &high]);
    }

    /// The latest value times what `gate` makes of it.
    pub(crate) fn gate(&mut self, gate: impl FnOnce(&mut Self)) {
        let value = self.last();
        gate(self);
        self.op("Mul", &[&value]);
    }

    pub(crate) fn normalise(&mut self) {
        let channels = self.channels;
        let mut parameter = |low: f32| {
            let numbers = self.random(channels).into_iter();
            let numbers = numbers.map(|number| low + number.abs()).collect();
            self.constant(&[channels], numbers)
        };
        let names = [0.5, -0.5, -0.5, 0.5].map(&mut parameter);
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        self.op("BatchNormalization", &names);
    }

    /// A convolution that keeps the size.
    pub(crate) fn conv(&mut self, channels: usize, kernel: usize) {
        self.conv_with(channels, kernel, "strides", &vec![1; self.input.len() - 2]);
    }

    pub(crate) fn conv_with(&mut self, channels: usize, kernel: usize, name: &str, values: &[i64]) {
        let pads = vec![kernel as i64 / 2; 2 * (self.input.len() - 2)];
        let attributes = vec![ints("pads", &pads), ints(name, values)];
        self.convolve(channels, kernel, 1, attributes);
        if values.iter().any(|value| *value != 1) || kernel.is_multiple_of(2) {
            self.size += 1;
        }
        self.remember();
    }

    pub(crate) fn conv_same(&mut self, channels: usize, kernel: usize, same: &str) {
        let auto = AttributeProto {
            name: "auto_pad".into(),
            r#type: AttributeType::String.into(),
            s: same.into(),
            ..AttributeProto::default()
        };
        self.convolve(channels, kernel, 1, vec![auto, ints("strides", &[2, 2])]);
    }

    pub(crate) fn depthwise(&mut self, kernel: usize) {
        let pads = vec![kernel as i64 / 2; 2 * (self.input.len() - 2)];
        let group = AttributeProto {
            name: "group".into(),
            r#type: AttributeType::Int.into(),
            i: self.channels as i64,
            ..AttributeProto::default()
        };
        let attributes = vec![ints("pads", &pads), group];
        self.convolve(self.channels, kernel, self.channels, attributes);
    }

    /// An operator with lists of numbers.
    pub(crate) fn lists(&mut self, name: &str, lists: &[(&str, &[i64])]) {
        let attributes = lists.iter().map(|(name, values)| ints(name, values));
        self.node(name, &[], attributes.collect());
    }

    /// An operator along an axis.
    pub(crate) fn along(&mut self, name: &str, others: &[&str], axis: i64) {
        let axis = AttributeProto {
            name: "axis".into(),
            r#type: AttributeType::Int.into(),
            i: axis,
            ..AttributeProto::default()
        };
        self.node(name, others, vec![axis]);
    }

    pub(crate) fn conv_with_input_weights(&mut self, channels: usize, kernel: usize) {
        self.graph.input.push(value("w", DataType::Float, 4));
        self.input.extend([channels, self.channels, kernel, kernel]);
        self.op("Conv", &["w"]);
    }

    pub(crate) fn pool(&mut self, name: &str, kernel: i64) {
        let spatial = self.input.len() - 2;
        let kernel = ints("kernel_shape", &vec![kernel; spatial]);
        let strides = ints("strides", &vec![2; spatial]);
        let pads = ints("pads", &vec![1; 2 * spatial]);
        self.node(name, &[], vec![kernel, strides, pads]);
        self.size += 1;
    }

    /// A sum with the latest value that fits, if one does.
    pub(crate) fn residual(&mut self) {
        let fitting = self.earlier.iter().rev().find(|(name, channels, size)| {
            *name != self.last && (*channels, *size) == (self.channels, self.size)
        });
        if let Some((name, ..)) = fitting {
            let name = name.clone();
            self.op("Add", &[&name]);
        }
    }

    /// The latest value beside another one.
    pub(crate) fn concat(&mut self, other: &str, channels: usize) {
        self.channels += channels;
        self.along("Concat", &[other], 1);
    }

    /// The network as tract translates it, with open extents as symbols.
    pub(crate) fn typed(&self) -> TypedModel {
        let mut graph = self.graph.clone();
        let is_output = graph.output.iter().any(|output| output.name == self.last);
        if !is_output {
            graph.output.push(ValueInfoProto {
                name: self.last.clone(),
                ..ValueInfoProto::default()
            });
        }
        let proto = ModelProto {
            graph: Some(graph),
            ir_version: 8,
            opset_import: vec![OperatorSetIdProto {
                version: 15,
                ..OperatorSetIdProto::default()
            }],
            ..ModelProto::default()
        };
        let mut onnx = tract_onnx::onnx();
        ops::register(&mut onnx.op_register);
        let mut model = onnx.model_for_proto_model(&proto).unwrap();
        let rank = self
            .input
            .len()
            .min(if self.graph.input.len() > 1 { 4 } else { 5 });
        let mut symbols = self.input.iter().enumerate();
        let mut fact = |rank: usize| {
            let dims = symbols
                .by_ref()
                .take(rank)
                .map(|(axis, extent)| match extent {
                    0 => TDim::from(model.symbols.sym(&format!("s{axis}"))),
                    extent => TDim::from(*extent),
                });
            InferenceFact::dt_shape(f32::datum_type(), dims.collect::<TVec<_>>())
        };
        let facts: Vec<_> = self.graph.input.iter().map(|_| fact(rank)).collect();
        for (input, fact) in facts.into_iter().enumerate() {
            model.set_input_fact(input, fact).unwrap();
        }
        model.into_typed().unwrap()
    }

    fn convolve(
        &mut self,
        channels: usize,
        kernel: usize,
        groups: usize,
        attributes: Vec<AttributeProto>,
    ) {
        let mut shape = vec![channels, self.channels / groups];
        shape.extend(vec![kernel; self.input.len() - 2]);
        let len: usize = shape.iter().product();
        let scale = (shape[1] * kernel * kernel) as f32;
        let weights = self.random(len).into_iter();
        let weights = weights.map(|weight| weight / scale.sqrt()).collect();
        let weights = self.constant(&shape, weights);
        let bias = self.random(channels);
        let bias = self.constant(&[channels], bias);
        self.channels = channels;
        self.node("Conv", &[&weights, &bias], attributes);
    }

    fn remember(&mut self) {
        self.earlier
            .push((self.last.clone(), self.channels, self.size));
    }

    fn node(&mut self, operator: &str, others: &[&str], attributes: Vec<AttributeProto>) {
        let output = self.name(operator);
        let mut input = vec![std::mem::replace(&mut self.last, output.clone())];
        input.extend(others.iter().map(|other| (*other).to_owned()));
        self.graph.node.push(NodeProto {
            op_type: operator.into(),
            name: output.clone(),
            input,
            output: vec![output],
            attribute: attributes,
            ..NodeProto::default()
        });
    }

    fn constant(&mut self, shape: &[usize], numbers: Vec<f32>) -> String {
        let name = self.name("constant");
        self.graph.initializer.push(TensorProto {
            name: name.clone(),
            dims: shape.iter().map(|extent| *extent as i64).collect(),
            data_type: DataType::Float.into(),
            float_data: numbers,
            ..TensorProto::default()
        });
        name
    }

    fn name(&mut self, stem: &str) -> String {
        self.names += 1;
        format!("{stem}_{}", self.names)
    }

    fn random(&mut self, len: usize) -> Vec<f32> {
        self.names += 1;
        numbers(self.names as u32, len)
    }
}

/// What the model answers to numbers of some kind.
pub(crate) fn run(model: &TypedModel, shape: &[usize]) -> TractResult<TVec<TValue>> {
    Runner::new(model.clone())?.run(input(shape))
}

/// What tract alone answers to the same. It does not simplify the model, since
/// that fails for some: a convolution of one pixel with a stride after another.
pub(crate) fn expected(model: &TypedModel, shape: &[usize]) -> TVec<TValue> {
    let plan = model.clone().into_runnable().unwrap();
    plan.run(input(shape)).unwrap()
}

/// One input of numbers of some kind.
pub(crate) fn input(shape: &[usize]) -> TVec<TValue> {
    let numbers = numbers(7, shape.iter().product());
    tvec![Tensor::from_shape(shape, &numbers).unwrap().into()]
}

pub(crate) fn close(outputs: &[TValue], expected: &[TValue]) {
    assert_eq!(outputs.len(), expected.len());
    for (output, expected) in outputs.iter().zip(expected) {
        assert_eq!(output.shape(), expected.shape());
        let output = output.to_plain_array_view::<f32>().unwrap();
        let expected = expected.to_plain_array_view::<f32>().unwrap();
        let largest = expected.iter().fold(1f32, |most, x| most.max(x.abs()));
        for (output, expected) in output.iter().zip(&expected) {
            assert!(
                (output - expected).abs() <= 1e-5 * largest || output == expected,
                "{output} is not {expected}"
            );
        }
    }
}

/// Numbers between -1 and 1.
fn numbers(seed: u32, len: usize) -> Vec<f32> {
    let mut state = seed.wrapping_mul(2_654_435_761) | 1;
    let next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state as f32 / u32::MAX as f32 * 2. - 1.
    };
    std::iter::repeat_with(next).take(len).collect()
}

fn ints(name: &str, values: &[i64]) -> AttributeProto {
    AttributeProto {
        name: name.into(),
        r#type: AttributeType::Ints.into(),
        ints: values.to_vec(),
        ..AttributeProto::default()
    }
}
