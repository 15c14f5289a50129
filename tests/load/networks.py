"""Networks with random weights in the shapes that people deploy, for `onnx`."""

import numpy as np
from onnx import TensorProto, helper, numpy_helper

VOCABULARY = 8000
FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64


class Net:
    """A graph that grows from its inputs; every step returns the name of its output."""

    def __init__(self, seed):
        self.nodes, self.weights, self.random = [], [], np.random.default_rng(seed)

    def constant(self, value):
        name = f"weight_{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def scalar(self, value):
        return self.constant(np.float32(value))

    def weight(self, *shape, scale=None):
        """Normally distributed, so that what goes through keeps its size."""
        fan_in = np.prod(shape[1:]) if len(shape) > 2 else shape[0]
        values = self.random.standard_normal(shape) * (scale or fan_in**-0.5)
        return self.constant(values.astype(np.float32))

    def op(self, kind, *inputs, **attributes):
        name = f"{kind.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], name=name, **attributes))
        return name

    def activation(self, x, kind):
        if kind == "Relu6":
            return self.op("Clip", x, self.scalar(0), self.scalar(6))
        return self.op(kind, x) if kind else x

    def conv(self, x, channels, out, kernel=3, stride=1, groups=1, then="Relu"):
        weights = self.weight(out, channels // groups, kernel, kernel)
        x = self.op("Conv", x, weights, self.weight(out, scale=0.1), kernel_shape=[kernel] * 2, strides=[stride] * 2,
                    pads=[kernel // 2] * 4, group=groups)
        return self.activation(x, then)

    def max_pool(self, x, kernel, pad=0):
        return self.op("MaxPool", x, kernel_shape=[kernel] * 2, strides=[2, 2], pads=[pad] * 4)

    def average(self, x):
        return self.op("Flatten", self.op("GlobalAveragePool", x))

    def dense(self, x, width, out, then=None):
        x = self.op("Gemm", x, self.weight(width, out), self.constant(np.zeros(out, np.float32)))
        return self.activation(x, then)

    def linear(self, x, width, out):
        x = self.op("MatMul", x, self.weight(width, out))
        return self.op("Add", self.constant(np.zeros(out, np.float32)), x)

    def norm(self, x, width):
        """Layer normalisation as exporters before version 17 of the operators write it."""
        centred = self.op("Sub", x, self.op("ReduceMean", x, axes=[-1]))
        spread = self.op("ReduceMean", self.op("Pow", centred, self.scalar(2)), axes=[-1])
        spread = self.op("Sqrt", self.op("Add", spread, self.scalar(1e-12)))
        x = self.op("Mul", self.op("Div", centred, spread), self.constant(np.ones(width, np.float32)))
        return self.op("Add", x, self.constant(np.zeros(width, np.float32)))

    def model(self, inputs, output, shape):
        tables = [helper.make_tensor_value_info(*value) for value in inputs]
        answer = [helper.make_tensor_value_info(output, FLOAT, shape)]
        graph = helper.make_graph(self.nodes, "net", tables, answer, self.weights)
        return helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 17)])


def mlp(rows="rows"):
    net = Net(1)
    x = net.dense("x", 784, 512, "Relu")
    x = net.dense(net.dense(x, 512, 256, "Relu"), 256, 10)
    return net.model([("x", FLOAT, [rows, 784])], net.op("Softmax", x, axis=-1), [rows, 10])


def small_cnn():
    net = Net(2)
    x = net.max_pool(net.conv("x", 1, 32), 2)
    x = net.max_pool(net.conv(x, 32, 64), 2)
    x = net.dense(net.op("Flatten", x), 64 * 7 * 7, 128, "Relu")
    x = net.op("Softmax", net.dense(x, 128, 10), axis=-1)
    return net.model([("x", FLOAT, ["rows", 1, 28, 28])], x, ["rows", 10])


def resnet50():
    net, channels = Net(3), 64
    x = net.max_pool(net.conv("x", 3, 64, 7, 2), 3, 1)
    for stage, (width, blocks) in enumerate(((64, 3), (128, 4), (256, 6), (512, 3))):
        for block in range(blocks):
            stride = 2 if block == 0 and stage else 1
            out = width * 4
            short = net.conv(x, channels, out, 1, stride, then=None) if block == 0 else x
            y = net.conv(net.conv(x, channels, width, 1), width, width, 3, stride)
            y = net.conv(y, width, out, 1, then=None)
            x, channels = net.op("Relu", net.op("Add", y, short)), out
    return net.model([("x", FLOAT, ["rows", 3, 224, 224])], net.dense(net.average(x), 2048, 1000), ["rows", 1000])


def mobilenet_v2():
    net, channels = Net(4), 32
    x = net.conv("x", 3, 32, 3, 2, then="Relu6")
    stages = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
    for expansion, out, blocks, first_stride in stages:
        for block in range(blocks):
            stride, hidden, y = first_stride if block == 0 else 1, channels * expansion, x
            if expansion != 1:
                y = net.conv(y, channels, hidden, 1, then="Relu6")
            y = net.conv(y, hidden, hidden, 3, stride, hidden, then="Relu6")
            y = net.conv(y, hidden, out, 1, then=None)
            x = net.op("Add", x, y) if stride == 1 and channels == out else y
            channels = out
    x = net.conv(x, 320, 1280, 1, then="Relu6")
    return net.model([("x", FLOAT, ["rows", 3, 224, 224])], net.dense(net.average(x), 1280, 1000), ["rows", 1000])


def bert_base(layers=12, width=768, heads=12, tokens=128):
    net = Net(5)
    x = net.op("Gather", net.weight(VOCABULARY, width, scale=0.5), "ids")
    x = net.norm(net.op("Add", x, net.weight(1, tokens, width, scale=0.5)), width)
    mask = net.op("Cast", net.op("Unsqueeze", "mask", net.constant(np.array([1, 2]))), to=FLOAT)
    mask = net.op("Mul", net.op("Sub", net.scalar(1), mask), net.scalar(-1e4))
    split = net.constant(np.array([0, 0, heads, width // heads]))
    join = net.constant(np.array([0, 0, width]))

    def part(order):
        return net.op("Transpose", net.op("Reshape", net.linear(x, width, width), split), perm=order)

    for _ in range(layers):
        query, key, value = part([0, 2, 1, 3]), part([0, 2, 3, 1]), part([0, 2, 1, 3])
        score = net.op("Div", net.op("MatMul", query, key), net.scalar((width // heads) ** 0.5))
        score = net.op("Softmax", net.op("Add", score, mask), axis=-1)
        y = net.op("Transpose", net.op("MatMul", score, value), perm=[0, 2, 1, 3])
        x = net.norm(net.op("Add", net.linear(net.op("Reshape", y, join), width, width), x), width)
        y = net.linear(x, width, 4 * width)
        erf = net.op("Add", net.op("Erf", net.op("Div", y, net.scalar(2**0.5))), net.scalar(1))
        y = net.op("Mul", net.op("Mul", y, erf), net.scalar(0.5))
        x = net.norm(net.op("Add", net.linear(y, 4 * width, width), x), width)
    return net.model([("ids", INT64, ["rows", tokens]), ("mask", INT64, ["rows", tokens])], x, ["rows", tokens, width])
