//! Scripts with `@input_schema` and `@output_schema`.

use serde_json::json;

use crate::{http::Request, lusk::Lusk};

const SCRIPT: &str = r#"
import numpy as np
from inference_schema.parameter_types.numpy_parameter_type import NumpyParameterType
from inference_schema.parameter_types.standard_py_parameter_type import StandardPythonParameterType
from inference_schema.schema_decorators import input_schema, output_schema

def init():
    pass

@input_schema('data', NumpyParameterType(np.array([[1.0, 2.0]])))
@input_schema('scale', StandardPythonParameterType(1.5))
@output_schema(StandardPythonParameterType([1.0]))
def run(data, scale):
    return (data.sum(axis=1) * scale).tolist()
"#;

#[test]
fn a_body_is_converted_or_refused() {
    let lusk = Lusk::start("schema");
    lusk.deploy("schema").python(SCRIPT).done();
    let reply = lusk
        .score("schema", r#"{"data": [[1, 2], [3, 4]], "scale": 2}"#)
        .expect(200);
    assert_eq!(reply.json(), json!([6.0, 14.0]));
    for body in ["", "{", "[1]", r#"{"data": [[1, 2]]}"#] {
        let reply = lusk.score("schema", body).expect(400);
        assert!(!reply.message().is_empty(), "{body}");
        assert_eq!(
            reply.header("x-ms-run-function-failed"),
            Some("False"),
            "{body}"
        );
    }
    for body in [
        r#"{"data": [[1, 2, 3]], "scale": 2}"#,
        r#"{"data": "x", "scale": 2}"#,
    ] {
        let reply = lusk.score("schema", body).expect(502);
        assert_eq!(
            reply.header("x-ms-run-function-failed"),
            Some("True"),
            "{body}"
        );
    }
    let reply = Request::new("POST", "/api/v1/service/schema/score")
        .bearer(&lusk.key("schema"))
        .header("Content-Type", "text/plain")
        .body("{}")
        .send(lusk.scoring);
    reply.expect(415);
}

#[test]
fn the_document_shows_the_samples() {
    let lusk = Lusk::start("samples");
    lusk.deploy("samples").python(SCRIPT).done();
    let request =
        Request::new("GET", "/api/v1/service/samples/swagger.json").bearer(&lusk.key("samples"));
    let document = request.send(lusk.scoring).expect(200).json();
    let input = &document["definitions"]["ServiceInput"];
    assert_eq!(
        input["properties"]["data"]["format"], "numpy.ndarray",
        "{input:#}"
    );
    assert_eq!(input["example"]["scale"], 1.5);
}
