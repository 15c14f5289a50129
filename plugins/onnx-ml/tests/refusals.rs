//! Nodes that cannot be right are refused, with what is wrong.

#![allow(clippy::unwrap_used, reason = "a test that cannot start has failed")]

use tract_onnx::{
    pb::{
        AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto,
        TensorShapeProto, TypeProto, ValueInfoProto,
        attribute_proto::AttributeType,
        tensor_proto::DataType,
        tensor_shape_proto::{Dimension, dimension},
        type_proto,
    },
    prelude::*,
};

fn attribute(name: &str, kind: AttributeType) -> AttributeProto {
    AttributeProto {
        name: name.into(),
        r#type: kind as i32,
        ..AttributeProto::default()
    }
}

fn ints(name: &str, ints: &[i64]) -> AttributeProto {
    AttributeProto {
        ints: ints.to_vec(),
        ..attribute(name, AttributeType::Ints)
    }
}

fn floats(name: &str, floats: &[f32]) -> AttributeProto {
    AttributeProto {
        floats: floats.to_vec(),
        ..attribute(name, AttributeType::Floats)
    }
}

fn texts(name: &str, texts: &[&str]) -> AttributeProto {
    AttributeProto {
        strings: texts.iter().map(|text| text.as_bytes().to_vec()).collect(),
        ..attribute(name, AttributeType::Strings)
    }
}

fn text(name: &str, text: &str) -> AttributeProto {
    AttributeProto {
        s: text.as_bytes().to_vec(),
        ..attribute(name, AttributeType::String)
    }
}

fn int(name: &str, int: i64) -> AttributeProto {
    AttributeProto {
        i: int,
        ..attribute(name, AttributeType::Int)
    }
}

/// A table of floats, `[rows, 2]`.
fn input() -> ValueInfoProto {
    let dim = |value| Dimension {
        value: Some(value),
        ..Dimension::default()
    };
    let shape = TensorShapeProto {
        dim: vec![
            dim(dimension::Value::DimParam("rows".into())),
            dim(dimension::Value::DimValue(2)),
        ],
    };
    ValueInfoProto {
        name: "x".into(),
        r#type: Some(TypeProto {
            value: Some(type_proto::Value::TensorType(type_proto::Tensor {
                elem_type: DataType::Float as i32,
                shape: Some(shape),
            })),
            ..TypeProto::default()
        }),
        ..ValueInfoProto::default()
    }
}

/// Why a model of one node cannot be used; nothing if it can.
fn refusal(op: &str, version: i64, attributes: &[AttributeProto]) -> Option<String> {
    let outputs = if op.ends_with("Classifier") { 2 } else { 1 };
    let outputs: Vec<String> = (0..outputs).map(|place| format!("y{place}")).collect();
    let value = |name: &String| ValueInfoProto {
        name: name.clone(),
        ..ValueInfoProto::default()
    };
    let import = |domain: &str, version| OperatorSetIdProto {
        domain: domain.into(),
        version,
    };
    let node = NodeProto {
        op_type: op.into(),
        domain: "ai.onnx.ml".into(),
        input: vec!["x".into()],
        output: outputs.clone(),
        attribute: attributes.to_vec(),
        ..NodeProto::default()
    };
    let model = ModelProto {
        opset_import: vec![import("", 18), import("ai.onnx.ml", version)],
        graph: Some(GraphProto {
            node: vec![node],
            input: vec![input()],
            output: outputs.iter().map(value).collect(),
            ..GraphProto::default()
        }),
        ..ModelProto::default()
    };
    let mut onnx = tract_onnx::onnx();
    lusk_onnx_ml::register(&mut onnx.op_register);
    let loaded = onnx
        .model_for_proto_model(&model)
        .and_then(InferenceModelExt::into_optimized);
    loaded.err().map(|error| format!("{error:#}"))
}

#[track_caller]
fn refused(op: &str, attributes: &[AttributeProto], why: &str) {
    let version = if op == "TreeEnsemble" { 5 } else { 3 };
    let seen = refusal(op, version, attributes).unwrap_or_default();
    assert!(seen.contains(why), "`{seen}` does not say `{why}`");
}

/// A tree of one branch over two leaves, with one attribute replaced.
fn tree(other: AttributeProto) -> Vec<AttributeProto> {
    let mut all = vec![
        int("n_targets", 1),
        ints("nodes_treeids", &[0, 0, 0]),
        ints("nodes_nodeids", &[0, 1, 2]),
        ints("nodes_featureids", &[1, 0, 0]),
        texts("nodes_modes", &["BRANCH_LEQ", "LEAF", "LEAF"]),
        floats("nodes_values", &[0.5, 0.0, 0.0]),
        ints("nodes_truenodeids", &[1, 0, 0]),
        ints("nodes_falsenodeids", &[2, 0, 0]),
        ints("target_treeids", &[0, 0]),
        ints("target_nodeids", &[1, 2]),
        ints("target_ids", &[0, 0]),
        floats("target_weights", &[1.0, 2.0]),
    ];
    all.retain(|attribute| attribute.name != other.name);
    all.push(other);
    all
}

#[test]
fn a_right_tree_is_taken() {
    let attributes = tree(int("n_targets", 1));
    assert_eq!(refusal("TreeEnsembleRegressor", 3, &attributes), None);
}

#[test]
fn a_wrong_tree_is_refused() {
    for (attribute, why) in [
        (
            ints("nodes_nodeids", &[0, 1]),
            "`nodes_nodeids` has 2 values, `nodes_treeids` has 3",
        ),
        (
            ints("nodes_nodeids", &[0, 1, 1]),
            "node 1 of tree 0 is there twice",
        ),
        (
            ints("nodes_truenodeids", &[7, 0, 0]),
            "node 0 of tree 0 has the child 7, which does not exist",
        ),
        (ints("nodes_truenodeids", &[0, 0, 0]), "form no trees"),
        (
            ints("nodes_featureids", &[-1, 0, 0]),
            "`nodes_featureids` holds -1",
        ),
        (
            ints("nodes_featureids", &[2, 0, 0]),
            "look at 3 features, the input has 2",
        ),
        (
            texts("nodes_modes", &["BRANCH_UP", "LEAF", "LEAF"]),
            "`BRANCH_UP`",
        ),
        (
            ints("target_nodeids", &[1, 9]),
            "`target_nodeids` names node 9 of tree 0",
        ),
        (
            ints("target_ids", &[0, 1]),
            "`target_ids` holds 1, there are 1 targets",
        ),
        (
            floats("target_weights", &[1.0]),
            "`target_weights` has 1 values, `target_ids` has 2",
        ),
        (int("n_targets", 1 << 40), "1 to 1024 are possible"),
        (
            floats("base_values", &[1.0, 2.0]),
            "`base_values` has 2 values",
        ),
        (text("aggregate_function", "MEAN"), "`MEAN`"),
        (text("post_transform", "TANH"), "`TANH`"),
        (
            ints("nodes_missing_value_tracks_true", &[1]),
            "has 1 values",
        ),
        (
            ints("nodes_colours", &[1]),
            "has no attribute `nodes_colours`",
        ),
        (ints("nodes_treeids", &[]), "`nodes_treeids` is empty"),
        (ints("nodes_values", &[1, 2, 3]), "nodes_values"),
    ] {
        refused("TreeEnsembleRegressor", &tree(attribute), why);
    }
}

#[test]
fn wrong_lists_are_refused() {
    let labels = || ints("classlabels_ints", &[0, 1, 2]);
    refused(
        "Scaler",
        &[floats("offset", &[0.0; 3])],
        "`offset` has 3 values, the input has 2",
    );
    refused("Normalizer", &[text("norm", "L3")], "`L3`");
    refused("Imputer", &[], "neither `imputed_value_floats`");
    refused(
        "Imputer",
        &[ints("imputed_value_int64s", &[1])],
        "do not fit an input of F32",
    );
    refused(
        "OneHotEncoder",
        &[texts("cats_strings", &["a"])],
        "do not fit an input of F32",
    );
    refused(
        "LinearRegressor",
        &[floats("coefficients", &[1.0; 3])],
        "the model has 3 features",
    );
    refused(
        "LinearRegressor",
        &[int("targets", 0)],
        "cannot be shared by 0 scores",
    );
    let weights = floats("coefficients", &[0.0; 6]);
    refused(
        "LinearClassifier",
        &[labels(), weights.clone(), floats("intercepts", &[0.0; 2])],
        "there are 3 classes and 2 `intercepts`",
    );
    refused("LinearClassifier", &[weights], "neither `classlabels_ints`");
    refused(
        "ZipMap",
        &[ints("classlabels_int64s", &[1, 2, 3])],
        "3 labels are given",
    );
    refused(
        "FeatureVectorizer",
        &[ints("inputdimensions", &[2, 2])],
        "there are 1 inputs",
    );
    refused(
        "FeatureVectorizer",
        &[ints("inputdimensions", &[1 << 50])],
        "0 to 16777216",
    );
    refused(
        "FeatureVectorizer",
        &[ints("inputdimensions", &[5000])],
        "pads 2 columns to 5000",
    );
    refused(
        "SVMRegressor",
        &[int("n_supports", 3)],
        "`coefficients` has 0 values",
    );
    refused(
        "SVMClassifier",
        &[labels(), ints("vectors_per_class", &[1, -1, i64::MAX])],
        "`vectors_per_class` holds -1",
    );
    let keys = floats("keys_floats", &[1.0]);
    refused(
        "LabelEncoder",
        &[keys.clone(), ints("values_int64s", &[1, 2])],
        "1 keys and 2 values",
    );
    refused("LabelEncoder", &[keys], "0 lists `values_*`");
    refused(
        "CategoryMapper",
        &[ints("cats_int64s", &[1])],
        "`cats_strings` has 0",
    );
    refused("TreeEnsemble", &[], "`nodes_splits` is not given");
}

#[test]
fn a_tensor_that_lies_about_its_length_is_refused() {
    let tensor = AttributeProto {
        t: Some(TensorProto {
            dims: vec![1 << 40],
            data_type: DataType::Double as i32,
            ..TensorProto::default()
        }),
        ..attribute("nodes_splits", AttributeType::Tensor)
    };
    assert!(refusal("TreeEnsemble", 5, &[tensor]).is_some());
}

#[test]
fn operators_on_maps_and_newer_versions_are_refused() {
    refused("DictVectorizer", &[], "DictVectorizer");
    let why = refusal("Scaler", 6, &[]).unwrap_or_default();
    assert!(why.contains("versions 1 to 5 are known"), "{why}");
}
