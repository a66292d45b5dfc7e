"""A graph with branches: two residual blocks, global average pooling, callbacks and a schedule."""

import nbconv as nc


def block(x, channels, stride=1):
    """Two convolutions and a shortcut (He et al., 2016), with a 1x1 convolution where the shape changes."""
    y = nc.ReLU()(nc.BatchNorm()(nc.Conv2d(channels, 3, stride=stride, padding=1, bias=False)(x)))
    y = nc.BatchNorm()(nc.Conv2d(channels, 3, padding=1, bias=False)(y))
    if stride > 1:
        x = nc.BatchNorm()(nc.Conv2d(channels, 1, stride=stride, bias=False)(x))
    return nc.ReLU()(nc.Add()(y, x))


(x, y), validation = nc.data.digits()

image = nc.Input((1, 8, 8))
stem = nc.ReLU()(nc.BatchNorm()(nc.Conv2d(16, 3, padding=1, bias=False)(image)))
features = block(block(stem, 16), 32, stride=2)
model = nc.Model(image, nc.Linear(10)(nc.GlobalAvgPool2d()(features)), seed=0)

model.compile(nc.AdamW(lr=5e-3, weight_decay=1e-3), "cross_entropy", ["accuracy"])
model.fit(
    x,
    y,
    batch_size=64,
    epochs=8,
    validation_data=validation,
    callbacks=[
        nc.callbacks.LearningRate(nc.schedules.cosine(5e-3, epochs=8, warmup=1)),
        nc.callbacks.EarlyStopping("val_accuracy", patience=4, restore_best=True),
    ],
)
print(model.evaluate(*validation))
