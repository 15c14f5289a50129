from azureml.contrib.services.aml_request import AMLRequest, rawhttp
from azureml.contrib.services.aml_response import AMLResponse


def init():
    print("ready to count bytes")


@rawhttp
def run(request: AMLRequest):
    if request.method == "GET":
        return AMLResponse({"usage": "POST any bytes"}, 200, json_str=True)
    if request.method == "POST":
        body = request.get_data()
        if not body:
            return AMLResponse("the body is empty", 400)
        counted = {"bytes": len(body), "zeros": body.count(b"\0")}
        return AMLResponse(counted, 200, response_headers={"x-counted": "bytes"}, json_str=True)
    return AMLResponse("bad request, use POST", 405)
