import sys, time, numpy as np
sys.path.insert(0,'.'); sys.path.insert(0,'src')
exec(open('.dev_check.py').read().split("if __name__")[0])
def weights(name,x):
    n=32 if name in('Q4_K','Q5_K','IQ4_XS','IQ4_NL') else 16
    b=x.reshape(-1,n)
    if name in('Q4_K','Q5_K'): w=np.sqrt((b*b).mean(1,keepdims=True))+abs(b)
    elif name=='Q2_K': w=abs(b)
    else: w=b*b
    return w.reshape(x.shape).astype(np.float64)
r=gguf.GGUFReader('/work/models/widened.f16.gguf')
R={t.name:t for t in r.tensors}
names=sys.argv[2:] or ['token_embd.weight','blk.0.attn_q.weight','blk.0.attn_v.weight','blk.5.ffn_down.weight','blk.20.ffn_up.weight','blk.29.attn_k.weight']
r2=gguf.GGUFReader('/work/models/gemma3-270m-q4_k_m.gguf')
fmts=sys.argv[1].split(',')
for nm in names+['G:blk.3.attn_output.weight','G:blk.10.attn_v.weight','G:blk.17.ffn_up.weight']:
    if nm.startswith('G:'):
        t={t.name:t for t in r2.tensors}[nm[2:]]; x=gguf.dequantize(t.data,t.tensor_type).astype(np.float32)
    else:
        t=R[nm]; x=np.asarray(t.data).astype(np.float32)
    x=x.reshape(-1,x.shape[-1])
    if x.shape[-1]%256: continue
    x=x[:1024]
    for f in fmts:
        T_=T[f]
        t0=time.time(); o,rr=enc(int(T_),x); t1=time.time(); lg=np.asarray(libgguf.quantize_rows(x,T_)).view(np.uint8).reshape(o.shape); t2=time.time()
        a=gguf.dequantize(o,T_)-x; b=gguf.dequantize(lg,T_)-x
        w=weights(f,x)
        p=(np.abs if f=='Q2_K' else np.square)
        print(f'{nm:28s} {f:7s} plain {np.square(a,dtype=np.float64).sum()/np.square(b,dtype=np.float64).sum():.5f} weighted {(w*p(a)).sum()/(w*p(b)).sum():.5f} time {t1-t0:.3f} {t2-t1:.3f}  {rr[0]}')
