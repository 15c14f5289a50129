use tract_onnx::{
    pb::{OperatorSetIdProto, TensorProto, attribute_proto::AttributeType, tensor_proto::DataType},
    prelude::{IntoTValue, tensor1, tvec},
};

use super::*;
use crate::testing::{model, plans, value};

const DOMAIN: &str = "shop";

fn node(operator: &str, inputs: &[&str], outputs: &[&str]) -> NodeProto {
    NodeProto {
        op_type: operator.into(),
        domain: if operator.starts_with("My") {
            DOMAIN
        } else {
            ""
        }
        .into(),
        input: inputs.iter().map(|name| (*name).into()).collect(),
        output: outputs.iter().map(|name| (*name).into()).collect(),
        ..NodeProto::default()
    }
}

fn with(mut node: NodeProto, attribute: AttributeProto) -> NodeProto {
    node.attribute.push(attribute);
    node
}

fn float(name: &str, f: f32) -> AttributeProto {
    AttributeProto {
        name: name.into(),
        r#type: AttributeType::Float.into(),
        f,
        ..AttributeProto::default()
    }
}

/// An attribute that is the function's own of that name.
fn referring(name: &str, to: &str) -> AttributeProto {
    AttributeProto {
        ref_attr_name: to.into(),
        ..float(name, 0.0)
    }
}

fn function(name: &str, inputs: &[&str], outputs: &[&str], body: Vec<NodeProto>) -> FunctionProto {
    FunctionProto {
        name: Some(name.into()),
        domain: Some(DOMAIN.into()),
        input: inputs.iter().map(|name| (*name).into()).collect(),
        output: outputs.iter().map(|name| (*name).into()).collect(),
        node: body,
        opset_import: vec![OperatorSetIdProto {
            domain: "ai.onnx.ml".into(),
            version: 3,
        }],
        ..FunctionProto::default()
    }
}

/// A model of these nodes, from `x` to `y`.
fn calling(nodes: Vec<NodeProto>, functions: Vec<FunctionProto>) -> ModelProto {
    let mut proto = model("Relu", 15, vec![value("x", DataType::Float, 1)], vec![], 1);
    proto.graph.as_mut().unwrap().node = nodes;
    proto.functions = functions;
    proto
}

fn answer(proto: ModelProto, x: &[f32]) -> Vec<f32> {
    let plans = plans(proto).unwrap();
    let outputs = plans.run(tvec![tensor1(x).into_tvalue()], false).unwrap();
    let numbers = outputs[0].to_plain_array_view::<f32>().unwrap();
    numbers.iter().copied().collect()
}

fn refusal(proto: ModelProto) -> String {
    plans(proto).err().unwrap_or_default()
}

#[test]
fn each_call_has_names_and_attributes_of_its_own() {
    let leaky = with(
        node("LeakyRelu", &["a"], &["t"]),
        referring("alpha", "slope"),
    );
    let double = node("Add", &["t", "t"], &["b"]);
    let mut doubled = function("MyDoubled", &["a"], &["b"], vec![leaky, double]);
    doubled.attribute.push("slope".into());
    let call = |input, output| node("MyDoubled", &[input], &[output]);
    let nodes = vec![
        with(call("x", "t"), float("slope", 0.5)),
        with(call("t", "u"), float("slope", 0.25)),
        // Without the attribute, `alpha` is what the operator has by itself: 0.01.
        call("u", "y"),
    ];
    let seen = answer(calling(nodes, vec![doubled]), &[1.0, -100.0]);
    assert_eq!(seen, [8.0, -1.0]);
}

#[test]
fn the_model_imports_what_bodies_use() {
    let function = function(
        "MyNegative",
        &["a"],
        &["b"],
        vec![node("Neg", &["a"], &["b"])],
    );
    let mut proto = calling(vec![node("MyNegative", &["x"], &["y"])], vec![function]);
    write_out(&mut proto).unwrap();
    let imported: Vec<_> = proto
        .opset_import
        .iter()
        .map(|it| it.domain.as_str())
        .collect();
    assert_eq!(imported, ["", "ai.onnx.ml"]);
}

#[test]
fn functions_call_functions_and_leave_inputs_out() {
    let clip = node("Clip", &["a", "low", "high"], &["b"]);
    let inner = function("MyClip", &["a", "low", "high"], &["b"], vec![clip]);
    let five = with(
        node("Constant", &[], &["five"]),
        AttributeProto {
            t: Some(TensorProto {
                data_type: DataType::Float.into(),
                float_data: vec![5.0],
                ..TensorProto::default()
            }),
            r#type: AttributeType::Tensor.into(),
            ..float("value", 0.0)
        },
    );
    let call = node("MyClip", &["a", "", "five"], &["b"]);
    let outer = function("MyCeiling", &["a"], &["b"], vec![five, call]);
    let nodes = vec![node("MyCeiling", &["x"], &["y"])];
    let seen = answer(calling(nodes, vec![inner, outer]), &[-9.0, 9.0]);
    assert_eq!(seen, [-9.0, 5.0]);
}

#[test]
fn branches_within_a_function_see_its_values() {
    let branch = |operator: &str| GraphProto {
        name: operator.into(),
        node: vec![node(operator, &["a"], &["r"])],
        output: vec![value("r", DataType::Float, 1)],
        ..GraphProto::default()
    };
    let graph = |name: &str, operator| AttributeProto {
        g: Some(branch(operator)),
        r#type: AttributeType::Graph.into(),
        ..float(name, 0.0)
    };
    let mut steps = vec![
        with(
            node("ReduceMax", &["a"], &["m"]),
            AttributeProto {
                r#type: AttributeType::Int.into(),
                ..float("keepdims", 0.0)
            },
        ),
        node("Cast", &["m"], &["is"]),
        node("If", &["is"], &["b"]),
    ];
    steps[1].attribute.push(AttributeProto {
        i: DataType::Bool as i64,
        r#type: AttributeType::Int.into(),
        ..float("to", 0.0)
    });
    steps[2].attribute = vec![graph("then_branch", "Neg"), graph("else_branch", "Exp")];
    let function = function("MyChoice", &["a"], &["b"], steps);
    let proto = || {
        calling(
            vec![node("MyChoice", &["x"], &["y"])],
            vec![function.clone()],
        )
    };
    assert_eq!(answer(proto(), &[2.0, 1.0]), [-2.0, -1.0]);
    assert_eq!(answer(proto(), &[0.0, 0.0]), [1.0, 1.0]);
}

#[test]
fn what_cannot_be_written_out_is_refused() {
    let call = |name| vec![node(name, &["x"], &["y"])];
    let endless = function(
        "MySelf",
        &["a"],
        &["b"],
        vec![node("MySelf", &["a"], &["b"])],
    );
    assert_eq!(
        refusal(calling(call("MySelf"), vec![endless.clone()])),
        "calls functions more than 32 deep, the last one shop.MySelf"
    );
    assert_eq!(
        refusal(calling(call("MySelf"), vec![endless.clone(), endless])),
        "holds two functions shop.MySelf"
    );
    let leaky = with(
        node("LeakyRelu", &["a"], &["b"]),
        referring("alpha", "slope"),
    );
    let defaults = function("MyLeaky", &["a"], &["b"], vec![leaky.clone()]);
    assert_eq!(
        refusal(calling(call("MyLeaky"), vec![defaults])),
        "calls shop.MyLeaky without its attribute `slope`, whose default value cannot be read"
    );
    let few = function("MyFew", &[], &["b"], vec![]);
    assert_eq!(
        refusal(calling(call("MyFew"), vec![few])),
        "calls shop.MyFew with 1 inputs for 1 outputs; it has 0 and 1"
    );
}

#[test]
fn few_bytes_cannot_become_very_many_nodes() {
    // Each function calls the one before twice.
    let twice = |number: usize| {
        let inner = format!("My{}", number - 1);
        let body = vec![node(&inner, &["a"], &["t"]), node(&inner, &["t"], &["b"])];
        function(&format!("My{number}"), &["a"], &["b"], body)
    };
    let mut functions = vec![function(
        "My0",
        &["a"],
        &["b"],
        vec![node("Neg", &["a"], &["b"])],
    )];
    functions.extend((1..30).map(twice));
    let proto = calling(vec![node("My29", &["x"], &["y"])], functions.clone());
    let reason = refusal(proto);
    assert!(
        reason.starts_with("would be too large with its functions written out"),
        "{reason}"
    );
    let proto = calling(vec![node("My4", &["x"], &["y"])], functions);
    assert_eq!(answer(proto, &[3.0]), [3.0]);
}
