import sys, time, numpy as np
sys.path.insert(0,'src')
import importlib, types
from bitwright import formats
from bitwright.kernels import _core
import libgguf, gguf
from gguf import GGMLQuantizationType as T
x=np.fromfile('/work/shared/data/quant-vectors/x.f32.bin',np.float32).reshape(16,1024)
def enc(fid, x, portable=False, threads=1, bs_bytes=None, imp=None):
    info={f:(b,n) for f,b,n,i in _core.encoder_formats()}
    b,n=info[fid]; out=np.zeros((x.shape[0],x.shape[1]//b*n),np.uint8)
    r=_core.quantize(fid,x,imp,out,threads,portable)
    return out,r
if __name__=='__main__':
    import os
    for f,b,n,i in _core.encoder_formats():
        t=T(f); name=t.name
        o,r=enc(f,x); p,_=enc(f,x,True,2)
        line=[name, r, 'portable-same', bool((o==p).all())]
        pth=f'/work/shared/data/quant-vectors/{name}.from_x.bin'
        if os.path.exists(pth):
            g=np.fromfile(pth,np.uint8).reshape(o.shape); bad=np.argwhere(o!=g); line+=['vec', len(bad), sorted(set(bad[:,0]))[:5]]
        try:
            lg=np.asarray(libgguf.quantize_rows(x,t)).view(np.uint8).reshape(o.shape); bad=np.argwhere(o!=lg); line+=['lib',len(bad), sorted(set(map(int,bad[:,0])))[:16]]
        except Exception as e: line.append(repr(e)[:80])
        print(*line)
