async function*d(o){let r=o.body.pipeThrough(new TextDecoderStream).getReader(),e="";for(;;){let{value:s,done:a}=await r.read();if(a)return;let t=(e+s).split(`

`);e=t.pop();for(let n of t)n.startsWith("data: ")&&(yield n.slice(6))}}export{d as a};
