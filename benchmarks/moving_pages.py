"""Pages that move, each in its own way; which of them look alike in every run, `render.py` says."""

from __future__ import annotations

import base64
import io

from PIL import Image

_BOX = "#b{position:absolute;width:100px;height:100px;background:#2020d0}"
_GO = "@keyframes go{from{left:0}to{left:800px}}"


def _page(style: str, body: str, script: str = "") -> str:
    return (
        f"<!DOCTYPE html><html><head><style>body{{margin:0}}{style}</style></head>"
        f"<body>{body}<script>{script}</script></body></html>"
    )


def _gif() -> str:
    """An animation of four frames, a quarter of a second each."""
    frames = [Image.new("RGB", (200, 200), colour) for colour in ("red", "lime", "blue", "yellow")]
    stream = io.BytesIO()
    frames[0].save(stream, "GIF", save_all=True, append_images=frames[1:], duration=250, loop=0)
    return f"data:image/gif;base64,{base64.b64encode(stream.getvalue()).decode()}"


_SMIL = (
    "<svg xmlns='http://www.w3.org/2000/svg' width='900' height='100'><rect width='100' height='100'>"
    "<animate attributeName='x' from='0' to='800' dur='4s' repeatCount='indefinite'/></rect></svg>"
)
_TEXT = base64.b64encode(_SMIL.encode()).decode()

MOVING = {
    "timers": _page(
        _BOX, "<div id=b></div>", "let x=0;setInterval(()=>b.style.left=(x+=7)+'px',30)"
    ),
    "style animation": _page(
        f"{_BOX}{_GO}#b{{animation:go 4s linear infinite}}", "<div id=b></div>"
    ),
    "style animation, paused": _page(
        f"{_BOX}{_GO}#b{{animation:go 4s linear -1s paused}}", "<div id=b></div>"
    ),
    "transition that a timer begins": _page(
        f"{_BOX}#b{{left:0;transition:left 2s linear}}",
        "<div id=b></div>",
        "setTimeout(()=>b.style.left='800px',500)",
    ),
    "one animation after another": _page(
        f"{_BOX}{_GO}.a{{animation:go .4s linear}}",
        '<div id="b" class="a"></div>',
        "let n=0;b.onanimationend=()=>{b.style.top=(++n*80)+'px';b.className='';b.offsetWidth;b.className='a'}",
    ),
    "animate()": _page(
        _BOX,
        "<div id=b></div>",
        "b.animate([{left:0},{left:'800px'}],{duration:1500,fill:'forwards'}).finished"
        ".then(()=>b.style.background='red')",
    ),
    "in a shadow tree": _page(
        "",
        "<div id=h></div>",
        f"h.attachShadow({{mode:'closed'}}).innerHTML='<style>{_BOX}{_GO}#b{{animation:go 4s linear}}"
        "</style><div id=b></div>'",
    ),
    "in a frame of its own": _page(
        "",
        f'<iframe width="900" height="200" srcdoc="<style>{_BOX}{_GO}#b{{animation:go 4s linear}}'
        '</style><div id=b></div>"></iframe>',
    ),
    "in a frame of data:": _page(
        "",
        f'<iframe width="900" height="200" src="data:text/html,<style>{_BOX.replace("#", "%23")}{_GO}'
        '%23b{animation:go 4s linear}</style><div id=b></div>"></iframe>',
    ),
    "animated drawing": _page("", _SMIL),
    "animated drawing that a timer adds": _page(
        "", "", f'setTimeout(()=>document.body.innerHTML="{_SMIL}",700)'
    ),
    "animated drawing as a picture": _page("", f'<img src="data:image/svg+xml;base64,{_TEXT}">'),
    "GIF": _page("", f'<img src="{_gif()}">'),
    "canvas, frame by frame": _page(
        "",
        '<canvas id="c" width="900" height="200"></canvas>',
        "const x=c.getContext('2d');let n=0;(function f(t){x.clearRect(0,0,900,200);"
        "x.fillRect(n++*3,50,100,100);requestAnimationFrame(f)})()",
    ),
    "chance": _page(
        "", "<h1 id=t></h1>", "t.textContent=Array.from({length:9},()=>Math.random()).join(' ')"
    ),
    "the date": _page(
        "", "<h1 id=t></h1>", "setInterval(()=>t.textContent=new Date().toString(),10)"
    ),
    "performance.now": _page(
        "", "<h1 id=t></h1>", "setInterval(()=>t.textContent=performance.now(),10)"
    ),
    "a worker's clock": _page(
        "",
        "<h1 id=t></h1>",
        "const w=new Worker(URL.createObjectURL(new Blob(['setInterval(()=>postMessage(Date.now()),9)'])));"
        "w.onmessage=e=>t.textContent=e.data",
    ),
}
"""By what moves."""
