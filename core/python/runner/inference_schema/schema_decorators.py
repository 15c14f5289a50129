"""`@input_schema` and `@output_schema`."""

import functools
import inspect

from inference_schema.parameter_types.abstract_parameter_type import AbstractParameterType
from inference_schema.schema_util import record_on

# lusk hands this one over itself: it is no part of the input.
_HEADERS = "request_headers"


def input_schema(param_name, param_type, convert_to_provided_type=True, optional=False):
    """Declares a parameter by a sample and converts what comes in to the sample's type."""
    _check(param_type)

    def decorate(function):
        names = list(inspect.signature(function).parameters)
        if param_name not in names:
            raise ValueError(f"run() has no parameter `{param_name}`; it has {', '.join(names)}")
        position = names.index(param_name)

        @functools.wraps(function)
        def converting(*args, **kwargs):
            if convert_to_provided_type:
                args, kwargs = _converted(args, kwargs)
            return function(*args, **kwargs)

        def _converted(args, kwargs):
            if param_name in kwargs:
                value = kwargs[param_name]
                if value or not optional:
                    kwargs = {**kwargs, param_name: _convert(value, param_type)}
            elif position < len(args) and not optional:
                args = list(args)
                args[position] = _convert(args[position], param_type)
            return args, kwargs

        _record_input(record_on(converting, function), names, param_name, param_type)
        return converting

    return decorate


def output_schema(output_type):
    """Declares the result by a sample; the result itself is left as it is."""
    _check(output_type)

    def decorate(function):
        @functools.wraps(function)
        def wrapper(*args, **kwargs):
            return function(*args, **kwargs)

        schemas = record_on(wrapper, function)
        if schemas.output is not None:
            raise ValueError(f"{function.__name__}() has an output schema already")
        schemas.output = output_type.input_to_swagger()
        return wrapper

    return decorate


def _check(param_type):
    if not isinstance(param_type, AbstractParameterType):
        raise TypeError(
            f"a schema is given by a parameter type around a sample, "
            f"not by {type(param_type).__name__}"
        )


def _record_input(schemas, names, param_name, param_type):
    if schemas.input is None:
        shown = [name for name in names if name != _HEADERS]
        schemas.input = {
            "type": "object",
            "properties": {name: {} for name in shown},
            "example": dict.fromkeys(shown, ""),
        }
    schema = param_type.input_to_swagger()
    schemas.input["example"][param_name] = schema.pop("example")
    schemas.input["properties"][param_name] = schema


def _convert(value, param_type):
    """`value` as the sample's type, with the parameter types nested in the sample."""
    sample_type = param_type.sample_data_type
    if sample_type is dict:
        return _convert_members(value, param_type)
    if sample_type in (list, tuple):
        _expect(value, (list, tuple), sample_type)
        nested = param_type.sample_data_type_list
        return [_convert(each, nested[0]) for each in value] if nested else value
    if isinstance(value, sample_type):
        return value
    return param_type.deserialize_input(value)


def _convert_members(value, param_type):
    _expect(value, dict, dict)
    nested = param_type.sample_data_type_map
    return {
        name: _convert(member, nested[name]) if name in nested else member
        for name, member in value.items()
    }


def _expect(value, allowed, sample_type):
    if not isinstance(value, allowed):
        raise ValueError(
            f"the input is a {type(value).__name__}, a {sample_type.__name__} is expected"
        )
