use proptest::prelude::*;
use tract_onnx::prelude::TypedModel;

use super::{Weights, blocked, conv::BlockedConv, told};
use crate::testing::network::{Network, close, expected, run};

/// The operators of the rewritten network that compute something.
fn operators(network: &Network) -> Vec<String> {
    let model = blocked(&network.typed(), &Weights::default()).unwrap();
    let order = model.eval_order().unwrap();
    let names = order.iter().map(|id| model.node(*id).op.name().to_string());
    names
        .filter(|name| name != "Const" && name != "Source")
        .collect()
}

/// Rewrites a network and compares its results with those of tract alone.
fn compare(network: &Network, shapes: &[&[usize]]) {
    let plain = network.typed();
    let rewritten = blocked(&plain, &Weights::default()).expect("there is a convolution");
    for shape in shapes {
        close(&run(&rewritten, shape).unwrap(), &expected(&plain, shape));
    }
}

fn image(channels: usize) -> Network {
    Network::new(&[0, channels, 9, 7])
}

#[test]
fn activations_join_their_convolution() {
    let activations: [fn(&mut Network); 13] = [
        |net| net.op("Relu", &[]),
        |net| net.clip(-0.25, 0.5),
        |net| net.op("Sigmoid", &[]),
        |net| net.op("Tanh", &[]),
        |net| net.floats("HardSigmoid", &[("alpha", 0.3), ("beta", 0.4)]),
        |net| net.op("HardSwish", &[]),
        |net| net.floats("LeakyRelu", &[("alpha", 0.1)]),
        |net| net.gate(|net| net.op("Sigmoid", &[])),
        |net| net.gate(|net| net.floats("HardSigmoid", &[("alpha", 1. / 6.)])),
        |net| {
            net.gate(|net| {
                net.number("Add", 3.);
                net.clip(0., 6.);
                net.number("Div", 6.);
            });
        },
        |net| {
            net.gate(|net| {
                net.number("Add", 3.);
                net.clip(0., 6.);
            });
            net.number("Div", 6.);
        },
        |net| {
            net.normalise();
            net.op("Relu", &[]);
        },
        |net| {
            net.number("Mul", 2.);
            net.number("Sub", 0.5);
            net.op("Relu", &[]);
        },
    ];
    for (index, activation) in activations.iter().enumerate() {
        let mut net = image(16);
        net.conv(20, 3);
        activation(&mut net);
        assert_eq!(
            operators(&net),
            ["Block", "BlockedConv", "Unblock"],
            "{index}"
        );
        compare(&net, &[&[2, 16, 9, 7]]);
    }
}

#[test]
fn a_value_that_others_read_is_kept() {
    let mut net = image(16);
    net.conv(16, 3);
    net.output();
    net.op("Relu", &[]);
    let count = operators(&net)
        .iter()
        .filter(|name| *name == "BlockedConv")
        .count();
    assert_eq!(count, 1);
    compare(&net, &[&[1, 16, 9, 7]]);
}

#[test]
fn a_person_is_told_how_many_convolutions_were_rewritten() {
    let mut network = image(8);
    network.op("Relu", &[]);
    assert_eq!(told(&network.typed()), None);
    network.conv(16, 3);
    let plain = network.typed();
    assert_eq!(
        told(&plain).as_deref(),
        Some("0 of 1 convolutions in blocked layout")
    );
    let rewritten = blocked(&plain, &Weights::default()).unwrap();
    assert_eq!(
        told(&rewritten).as_deref(),
        Some("1 of 1 convolutions in blocked layout")
    );
}

#[test]
fn a_residual_block_is_convolutions_alone() {
    let mut net = image(3);
    net.conv(32, 3);
    net.op("Relu", &[]);
    let input = net.last();
    net.conv(16, 1);
    net.normalise();
    net.op("Relu", &[]);
    net.depthwise(3);
    net.normalise();
    net.clip(0., 6.);
    net.conv(32, 1);
    net.normalise();
    net.op("Add", &[&input]);
    net.op("Relu", &[]);
    let expected = ["BlockedConv"; 4].into_iter().chain(["Unblock"]);
    assert_eq!(operators(&net), expected.collect::<Vec<_>>());
    compare(&net, &[&[1, 3, 9, 7], &[3, 3, 9, 7]]);
}

#[test]
fn a_classifier_leaves_the_layout_at_its_end() {
    let mut net = image(16);
    net.conv(32, 3);
    net.pool("MaxPool", 2);
    net.conv(48, 3);
    net.pool("AveragePool", 3);
    net.op("GlobalAveragePool", &[]);
    net.op("Flatten", &[]);
    let operators = operators(&net);
    let borders = operators.iter().filter(|name| *name == "Unblock").count();
    assert_eq!(borders, 1, "{operators:?}");
    assert!(
        operators.contains(&"BlockedSum".to_owned()),
        "{operators:?}"
    );
    let pools = operators
        .iter()
        .filter(|name| *name == "BlockedPool")
        .count();
    assert_eq!(pools, 2, "{operators:?}");
    compare(&net, &[&[1, 16, 9, 7], &[4, 16, 9, 7]]);
}

#[test]
fn squeeze_and_excitation_stays_in_the_layout() {
    let mut net = image(16);
    net.conv(32, 3);
    net.op("Relu", &[]);
    net.gate(|net| {
        net.op("GlobalAveragePool", &[]);
        net.conv(8, 1);
        net.op("Relu", &[]);
        net.conv(32, 1);
        net.op("Sigmoid", &[]);
    });
    net.conv(16, 1);
    let operators = operators(&net);
    let borders = operators
        .iter()
        .filter(|name| name.contains("lock") && !name.starts_with("Blocked"));
    assert_eq!(borders.count(), 2, "{operators:?}");
    compare(&net, &[&[2, 16, 9, 7]]);
}

#[test]
fn branches_are_put_together_in_the_layout() {
    let mut net = image(16);
    net.conv(32, 3);
    net.op("Relu", &[]);
    let left = net.last();
    net.conv(16, 1);
    net.concat(&left, 32);
    net.normalise();
    net.op("Relu", &[]);
    net.conv(16, 1);
    let operators = operators(&net);
    let borders = operators
        .iter()
        .filter(|name| name.contains("lock") && !name.starts_with("Blocked"));
    assert_eq!(borders.count(), 2, "{operators:?}");
    compare(&net, &[&[2, 16, 9, 7]]);
}

#[test]
fn any_batch_runs() {
    let mut net = image(3);
    net.conv(24, 3);
    net.op("Relu", &[]);
    net.pool("MaxPool", 2);
    net.conv(8, 3);
    compare(
        &net,
        &[&[0, 3, 9, 7], &[1, 3, 9, 7], &[3, 3, 9, 7], &[8, 3, 9, 7]],
    );
}

#[test]
fn any_size_runs_and_one_too_small_is_an_error() {
    let mut net = Network::new(&[0, 3, 0, 0]);
    net.conv_with(32, 5, "strides", &[2, 2]);
    net.pool("MaxPool", 2);
    net.conv(16, 3);
    compare(&net, &[&[1, 3, 32, 20], &[2, 3, 17, 19]]);
    let rewritten = blocked(&net.typed(), &Weights::default()).unwrap();
    let small = run(&rewritten, &[1, 3, 0, 0]);
    assert!(small.is_err() || small.unwrap().iter().all(|output| output.len() == 0));
}

#[test]
fn lines_are_images_of_one_row() {
    let mut net = Network::new(&[0, 16, 21]);
    net.conv(32, 3);
    net.op("Relu", &[]);
    net.pool("MaxPool", 2);
    net.conv(8, 3);
    assert!(operators(&net).contains(&"BlockedPool".to_owned()));
    compare(&net, &[&[2, 16, 21]]);
}

#[test]
fn padding_may_depend_on_a_known_size() {
    for same in ["SAME_UPPER", "SAME_LOWER"] {
        for extent in [8, 9] {
            let mut net = Network::new(&[0, 16, extent, extent]);
            net.conv_same(16, 4, same);
            compare(&net, &[&[1, 16, extent, extent]]);
        }
    }
}

#[test]
fn what_is_not_known_here_is_left_to_tract() {
    let mut three = Network::new(&[1, 4, 5, 5, 5]);
    three.conv(16, 3);
    assert!(blocked(&three.typed(), &Weights::default()).is_none());
    let mut dynamic = image(16);
    dynamic.conv_with_input_weights(16, 3);
    assert!(blocked(&dynamic.typed(), &Weights::default()).is_none());
    let mut none = image(16);
    none.op("Relu", &[]);
    assert!(blocked(&none.typed(), &Weights::default()).is_none());
}

#[test]
fn plans_of_one_model_share_packed_weights() {
    let mut net = image(16);
    net.conv(32, 3);
    net.normalise();
    let weights = Weights::default();
    let packed = |model: &TypedModel| {
        let conv = model
            .nodes()
            .iter()
            .find_map(|node| node.op_as::<BlockedConv>());
        conv.unwrap().conv.clone()
    };
    let one = packed(&blocked(&net.typed(), &weights).unwrap());
    let other = packed(&blocked(&net.typed(), &weights).unwrap());
    assert!(std::sync::Arc::ptr_eq(&one, &other));
}

/// Something that a network goes through.
#[derive(Debug, Clone, Copy)]
enum Layer {
    Conv {
        channels: usize,
        kernel: usize,
        stride: i64,
    },
    Depthwise,
    Normalise,
    Function(&'static str),
    Number(&'static str, f32),
    Clip,
    Gate(&'static str),
    /// A sum with an earlier value of the same extents.
    Residual,
    Concat,
    Pool(&'static str),
}

fn layer() -> impl Strategy<Value = Layer> {
    let channels = prop_oneof![Just(1usize), Just(8), Just(16), Just(20), Just(32)];
    prop_oneof![
        4 => (channels, 1usize..4, 1i64..3)
            .prop_map(|(channels, kernel, stride)| Layer::Conv { channels, kernel, stride }),
        1 => Just(Layer::Depthwise),
        1 => Just(Layer::Normalise),
        2 => prop_oneof![Just("Relu"), Just("Sigmoid"), Just("Tanh"), Just("Exp"), Just("HardSwish"),
                Just("Neg"), Just("Softplus"), Just("Elu")].prop_map(Layer::Function),
        1 => (prop_oneof![Just("Add"), Just("Mul"), Just("Sub"), Just("Div"), Just("Max")], 0.5f32..2.)
            .prop_map(|(op, number)| Layer::Number(op, number)),
        1 => Just(Layer::Clip),
        1 => prop_oneof![Just("Sigmoid"), Just("GlobalAveragePool"), Just("Relu")].prop_map(Layer::Gate),
        2 => Just(Layer::Residual),
        1 => Just(Layer::Concat),
        1 => prop_oneof![Just("MaxPool"), Just("AveragePool")].prop_map(Layer::Pool),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_network_answers_as_tract_does(
        channels in prop_oneof![Just(1usize), Just(3), Just(16), Just(18)],
        first in 1usize..40,
        layers in prop::collection::vec(layer(), 0..9),
        size in (12usize..24, 12usize..24),
        batch in 0usize..4,
    ) {
        let shape = [batch, channels, size.0, size.1];
        let mut net = Network::new(&[0, channels, size.0, size.1]);
        net.conv(first, 3);
        for layer in layers {
            match layer {
                Layer::Conv { channels, kernel, stride } => {
                    net.conv_with(channels, kernel, "strides", &[stride, stride]);
                }
                Layer::Depthwise => net.depthwise(3),
                Layer::Normalise => net.normalise(),
                Layer::Function(name) => net.op(name, &[]),
                Layer::Number(name, number) => net.number(name, number),
                Layer::Clip => net.clip(-1., 1.),
                Layer::Gate(name) => net.gate(|net| net.op(name, &[])),
                Layer::Residual => net.residual(),
                Layer::Concat => {
                    let last = net.last();
                    net.op("Relu", &[]);
                    net.concat(&last, net.channels());
                }
                Layer::Pool(name) => net.pool(name, 2),
            }
        }
        compare(&net, &[&shape]);
    }
}
