"""Stub: types."""
import numpy as np
from numba import types
from numba.cuda.np.numpy_support import from_dtype

def _type(a):
    if a is None: return types.none
    if isinstance(a,(bool,np.bool_)): return types.boolean
    if isinstance(a,np.generic): return from_dtype(a.dtype)
    if isinstance(a,int): return types.int32 if -2**31<=a<2**31 else types.int64
    if isinstance(a,float): return types.float64
    return types.Array(from_dtype(a.dtype),a.ndim,'C')

def types_of(arguments): return tuple(map(_type,arguments))
