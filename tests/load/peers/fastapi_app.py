"""The digits model behind FastAPI."""

from fastapi import FastAPI
from pydantic import BaseModel
from session import predict, session

app = FastAPI()
model = session()


class Body(BaseModel):
    data: list[list[float]]


@app.post("/score")
async def score(body: Body):
    labels, probabilities = predict(model, body.data)
    return {"label": labels.tolist(), "probabilities": probabilities.tolist()}
