"""Writes the small models that the damage test breaks into the folder `models`.

    python make.py

Each is about operators whose constants say how much memory or work they ask
for. `late` models take from their caller what the others hold as constants.
"""

import pathlib

import numpy
from onnx import TensorProto, helper, numpy_helper

FOLDER = pathlib.Path(__file__).parent / "models"
FLOAT, INT64, BOOL = TensorProto.FLOAT, TensorProto.INT64, TensorProto.BOOL


def integers(name, *values):
    return numpy_helper.from_array(numpy.array(values, numpy.int64), name)


def scalar(name, value):
    return numpy_helper.from_array(numpy.array(value, numpy.int64), name)


def floats(name, *shape):
    values = numpy.linspace(-1, 1, int(numpy.prod(shape))).astype(numpy.float32)
    return numpy_helper.from_array(values.reshape(shape), name)


def value(name, *shape, kind=FLOAT):
    return helper.make_tensor_value_info(name, kind, shape)


def graph(nodes, inputs, outputs, constants=(), name="g"):
    return helper.make_graph(nodes, name, inputs, outputs, list(constants))


def write(name, nodes, inputs, outputs, constants=(), version=18):
    imports = [helper.make_opsetid("", version)]
    if any(node.domain for node in nodes):
        imports.append(helper.make_opsetid("com.microsoft", 1))
    model = helper.make_model(
        graph(nodes, inputs, outputs, constants),
        opset_imports=imports,
        ir_version=8,
        producer_name="",
    )
    (FOLDER / f"{name}.onnx").write_bytes(model.SerializeToString())


def node(operator, inputs, outputs="y", **attributes):
    return helper.make_node(operator, inputs.split(","), outputs.split(","), **attributes)


def main():
    FOLDER.mkdir(exist_ok=True)
    for path in FOLDER.glob("*.onnx"):
        path.unlink()

    # Extents that constants ask for.
    x, any_x = value("x", 2, 3), value("x", "n", 3)
    write("made", [
        node("ConstantOfShape", "s", "c"),
        node("Expand", "x,s", "e"),
        node("Add", "c,e", "y"),
    ], [any_x], [value("y", None, None, None)], [integers("s", 2, 1, 3)])
    write("tiled", [
        node("Tile", "w,r", "t"),
        node("Pad", "x,p", "q", mode="reflect"),
        node("Tile", "q,r", "u"),
        node("Add", "t,u", "y"),
    ], [x], [value("y", None, None)],
        [floats("w", 4, 5), integers("r", 2, 2), integers("p", 1, 1, 1, 1)])
    write("padded", [node("Pad", "x,p")], [any_x], [value("y", None, None)],
          [integers("p", 1, 0, 2, 1)])
    write("counted", [
        node("Range", "from,to,by", "r"),
        node("Cast", "r", "f", to=FLOAT),
        node("Add", "x,f"),
    ], [value("x", "n", 5)], [value("y", None, None)],
        [scalar("from", 0), scalar("to", 10), scalar("by", 2)])
    write("resized", [node("Resize", "x,,s", mode="linear")],
          [value("x", 1, 1, 3, 3)], [value("y", None, None, None, None)],
          [numpy_helper.from_array(numpy.array([1, 1, 2, 2], numpy.float32), "s")])
    write("resized_to", [node("Resize", "x,,,s", mode="nearest")],
          [value("x", "n", 1, 3, 3)], [value("y", None, None, None, None)],
          [integers("s", 1, 1, 5, 5)])
    write("lights", [
        node("OneHot", "i,d,v", "h", axis=1),
        node("EyeLike", "h", "e", k=1),
        node("Add", "h,e"),
    ], [value("i", 3, kind=INT64)], [value("y", None, None)],
        [scalar("d", 4), floats("v", 2)])
    write("reshaped", [
        node("Reshape", "x,s", "r"),
        node("Unsqueeze", "r,a", "u"),
        node("Concat", "u,u", "c", axis=2),
        node("Split", "c,p", "k,y", axis=2),
    ], [any_x], [value("y", None, None, None)],
        [integers("s", -1, 3), integers("a", 0), integers("p", 2, 4)])
    write("cut", [
        node("Slice", "x,b,e,a,t", "s"),
        node("TopK", "s,k", "v,y", axis=-1),
    ], [value("x", "n", 6)], [value("y", None, None, kind=INT64)],
        [integers("b", 0), integers("e", 6), integers("a", 1), integers("t", 2),
         integers("k", 2)])

    # Windows.
    image = value("x", "n", 2, 6, 6)
    y4 = value("y", None, None, None, None)
    write("convolved", [
        node("Conv", "x,w,b", "c", kernel_shape=[3, 3], pads=[1, 1, 1, 1],
             strides=[1, 1], dilations=[1, 1], group=1),
        node("Relu", "c", "r"),
        node("MaxPool", "r", kernel_shape=[2, 2], strides=[2, 2], pads=[0, 0, 1, 1],
             ceil_mode=1),
    ], [image], [y4], [floats("w", 4, 2, 3, 3), floats("b", 4)])
    write("transposed", [
        node("ConvTranspose", "x,w", "c", strides=[2, 2], pads=[1, 1, 1, 1],
             output_padding=[1, 1], group=1, dilations=[1, 1]),
        node("AveragePool", "c", kernel_shape=[3, 3], strides=[1, 1], pads=[1, 1, 1, 1],
             count_include_pad=1),
    ], [image], [y4], [floats("w", 2, 3, 3, 3)])
    write("convolved_constants", [
        node("Conv", "k,w", "c", pads=[1, 1, 1, 1]),
        node("DepthToSpace", "c", "d", blocksize=2),
        node("Add", "x,d"),
    ], [value("x", "n", 1, 12, 12)], [y4], [floats("k", 1, 2, 6, 6), floats("w", 4, 2, 3, 3)])
    write("lp", [
        node("LpPool", "x", "l", kernel_shape=[2, 2], p=2, strides=[2, 2]),
        node("LRN", "l", "n", size=3),
        node("GlobalAveragePool", "n", "g"),
        node("Add", "l,g"),
    ], [image], [y4])
    write("columns", [node("Col2Im", "x,i,b", dilations=[1, 1], pads=[0, 0, 0, 0], strides=[1, 1])],
          [value("x", 1, 5, 5)], [y4], [integers("i", 5, 5), integers("b", 1, 5)])

    # Control flow and recurrence.
    then = graph([node("Expand", "x,s", "t")], [], [value("t", None, None)],
                 [integers("s", 2, 3)], "then")
    other = graph([node("Mul", "x,x", "e")], [], [value("e", None, None)], name="else")
    write("branched", [helper.make_node("If", ["c"], ["y"], then_branch=then, else_branch=other)],
          [value("c", kind=BOOL), x], [value("y", None, None)])
    body = graph([
        node("Add", "state,item", "sum"),
        node("Identity", "sum", "out"),
    ], [value("state", 3), value("item", 3)], [value("sum", 3), value("out", 3)], name="body")
    write("scanned", [helper.make_node("Scan", ["z", "x"], ["f", "y"], body=body,
                                       num_scan_inputs=1)],
          [any_x], [value("y", None, 3)], [floats("z", 3)])
    body = graph([
        node("Add", "state,state", "next"),
        node("Identity", "go", "on"),
    ], [value("i", kind=INT64), value("go", kind=BOOL), value("state", 2, 3)],
        [value("on", kind=BOOL), value("next", 2, 3)], name="body")
    write("looped", [helper.make_node("Loop", ["m", "", "x"], ["y"], body=body)],
          [x], [value("y", 2, 3)], [scalar("m", 3)])
    write("recurrent", [
        node("LSTM", "x,w,r", "l", hidden_size=2),
        node("Identity", "l"),
    ], [value("x", "n", 1, 3)], [value("y", None, None, None, None)],
        [floats("w", 1, 8, 3), floats("r", 1, 8, 2)])
    write("gated", [node("GRU", "x,w,r,b", "y,h", hidden_size=2, linear_before_reset=1)],
          [value("x", "n", 1, 3)], [value("y", None, None, None, None)],
          [floats("w", 1, 6, 3), floats("r", 1, 6, 2), floats("b", 1, 12)])

    # Arithmetic with constants that are folded.
    write("folded", [
        node("Transpose", "w", "t", perm=[1, 0]),
        node("MatMul", "w,t", "m"),
        node("ReduceSum", "m,a", "s", keepdims=0),
        node("Gather", "s,i", "g", axis=0),
        node("Softmax", "x", "f", axis=-1),
        node("Gemm", "f,w,g", alpha=0.5, transB=1),
    ], [value("x", "n", 3)], [value("y", None, None)],
        [floats("w", 4, 3), integers("a", 0), integers("i", 0, 3, 2, 1)])
    write("chosen", [
        node("Greater", "x,z", "g"),
        node("NonZero", "g", "n"),
        node("Transpose", "n", "t", perm=[1, 0]),
        node("GatherND", "x,t"),
    ], [any_x], [value("y", None)], [floats("z", 1)])
    write("summed", [node("Einsum", "x,w", equation="nij,jk->nik")],
          [value("x", "n", 2, 3)], [value("y", None, None, None)], [floats("w", 3, 4)])
    write("scattered", [
        node("ScatterElements", "x,i,u", "s", axis=1),
        node("CumSum", "s,a", "c"),
        node("Clip", "c,l,h", "k"),
        node("ArgMax", "k", axis=1, keepdims=1),
    ], [value("x", 2, 4)], [value("y", None, None, kind=INT64)],
        [numpy_helper.from_array(numpy.array([[0], [1]], numpy.int64), "i"), floats("u", 2, 1),
         scalar("a", 1),
         numpy_helper.from_array(numpy.float32(-1), "l"),
         numpy_helper.from_array(numpy.float32(1), "h")])
    write("boxes", [node("NonMaxSuppression", "b,s,m,o,t", center_point_box=0)],
          [value("b", 1, 4, 4), value("s", 1, 1, 4)], [value("y", None, 3, kind=INT64)],
          [integers("m", 2), floats("o", 1), floats("t", 1)])
    write("spectrum", [
        node("HannWindow", "n", "w"),
        node("Mul", "x,w", "m"),
        node("Unsqueeze", "m,a", "u"),
        node("DFT", "u", axis=1, onesided=1),
    ], [value("x", 1, 8)], [value("y", None, None, None)],
        [scalar("n", 8), integers("a", 2)], version=17)
    write("quantized", [
        node("QuantizeLinear", "x,s,z", "q"),
        node("DequantizeLinear", "q,s,z"),
    ], [any_x], [value("y", None, 3)],
        [numpy_helper.from_array(numpy.float32(0.1), "s"),
         numpy_helper.from_array(numpy.uint8(3), "z")])
    write("words", [node("TfIdfVectorizer", "x", min_gram_length=1, max_gram_length=2,
                         max_skip_count=1, mode="TF", ngram_counts=[0, 2],
                         ngram_indexes=[0, 1, 2, 3], pool_int64s=[2, 3, 5, 4, 5, 6])],
          [value("x", 1, 6, kind=INT64)], [value("y", None, None)])

    write("tokens", [
        node("StringNormalizer", "x", "n", case_change_action="LOWER", stopwords=["the"]),
        node("Tokenizer", "n", "t", domain="com.microsoft", mark=0, mincharnum=1,
             pad_value="#", tokenexp="[a-z]{1,9}"),
        node("Flatten", "t", "f"),
        node("TfIdfVectorizer", "f", min_gram_length=1, max_gram_length=2,
             max_skip_count=0, mode="TF", ngram_counts=[0, 2], ngram_indexes=[0, 1, 2],
             pool_strings=["word", "cat", "word", "cat"]),
    ], [value("x", "n", kind=TensorProto.STRING)], [value("y", None, None)])

    # What a caller's values ask for.
    for operator, shape in [("Expand", [3]), ("Tile", [2]), ("Reshape", [2]), ("Pad", [4])]:
        write(f"late_{operator.lower()}", [node(operator, "x,s")],
              [x, value("s", *shape, kind=INT64)],
              [value("y", *[None] * (3 if operator == "Expand" else 2))])
    write("late_made", [node("ConstantOfShape", "s")],
          [value("s", 2, kind=INT64)], [value("y", None, None)])
    write("late_range", [node("Range", "a,b,c", "r"), node("Cast", "r", to=FLOAT)],
          [value(name, kind=INT64) for name in "abc"], [value("y", None)])
    write("late_topk", [node("TopK", "x,k", "y,i")],
          [x, value("k", 1, kind=INT64)], [value("y", None, None)])
    write("late_resize", [node("Resize", "x,,,s", mode="nearest")],
          [value("x", 1, 1, 3, 3), value("s", 4, kind=INT64)], [y4])


if __name__ == "__main__":
    main()
