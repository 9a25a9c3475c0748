import{a as o,b as r,c as e,d as f,e as m,f as p,g as t,h as x}from"./shared-LA5MZAV7.js";export{o as count,r as decode,e as encode,f as even,x as fields,p as next,t as numbers,m as round};
