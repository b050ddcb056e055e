"""A site that sleeps for the time of a training, and returns the weights that it received."""

import time

import torch  # noqa: F401 - an app that trains imports it in each process that Flower starts
from flwr.app import Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

app = ClientApp()


@app.train()
def train(message: Message, context: Context) -> Message:
    time.sleep(float(context.run_config["train-seconds"]))
    arrays, metrics = (
        message.content.array_records["arrays"],
        MetricRecord({"num-examples": 100, "loss": 0.1}),
    )
    return Message(RecordDict({"arrays": arrays, "metrics": metrics}), reply_to=message)


@app.evaluate()
def evaluate(message: Message, context: Context) -> Message:  # noqa: ARG001
    return Message(
        RecordDict({"metrics": MetricRecord({"num-examples": 100, "loss": 0.1})}), reply_to=message
    )
