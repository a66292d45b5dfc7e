"""The functions of CS231n's assignments, computed by nbconv: names, arguments, results and meanings are the course's.

    from nbconv.compat.cs231n import conv_relu_pool_forward, conv_relu_pool_backward, Solver
    out, cache = conv_relu_pool_forward(x, w, b, {"stride": 1, "pad": 1}, {"pool_height": 2, "pool_width": 2, "stride": 2})

The files are the course's, too: ``from nbconv.compat.cs231n.layers import *``, ``fast_layers``, ``layer_utils``, ``im2col``,
``optim``, ``solver``, ``gradient_check``. Arrays may be of any real dtype: float32 is computed in float32, all else in
float64. Results are new arrays. Each function but the ``_naive`` ones and dropout takes ``device="cpu"`` besides.

Where the course means something else than nbconv's layers, the course's meaning holds here; ``docs/cs231n.md`` has a
table of that. Errors in shapes and options are raised before anything is computed.
"""

from .fast_layers import (
    conv_backward_fast,
    conv_backward_im2col,
    conv_backward_strides,
    conv_forward_fast,
    conv_forward_im2col,
    conv_forward_strides,
    max_pool_backward_fast,
    max_pool_backward_im2col,
    max_pool_backward_reshape,
    max_pool_forward_fast,
    max_pool_forward_im2col,
    max_pool_forward_reshape,
)
from .gradient_check import (
    eval_numerical_gradient,
    eval_numerical_gradient_array,
    eval_numerical_gradient_blobs,
    eval_numerical_gradient_net,
    grad_check_sparse,
    rel_error,
)
from .im2col import col2im, col2im_indices, im2col, im2col_indices
from .layer_utils import (
    affine_bn_relu_backward,
    affine_bn_relu_forward,
    affine_relu_backward,
    affine_relu_forward,
    conv_bn_relu_backward,
    conv_bn_relu_forward,
    conv_relu_backward,
    conv_relu_forward,
    conv_relu_pool_backward,
    conv_relu_pool_forward,
)
from .layers import *  # noqa: F403, its list of names is short
from .optim import adam, sgd, sgd_momentum
from .solver import Solver, load_checkpoint
