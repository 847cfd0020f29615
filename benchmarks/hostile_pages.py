"""Pages that mean no good to whoever renders them, and pages that look for the machine's own files.

All are made here. `render.py` renders them, and so do tests.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def page(script: str, body: str = "", head: str = "") -> str:
    """A green page that runs a script."""
    return (
        f'<!DOCTYPE html><html><head>{head}</head><body style="margin:0;background:#20a020">'
        f"{body}<script>{script}</script></body></html>"
    )


_CLICK = "const a=document.createElement('a');document.body.append(a);"

HOSTILE = {
    "loop in load": page("for(;;){}"),
    "loop in a timer": page("setTimeout(()=>{for(;;){}},500)"),
    "loop of promises": page("(function f(){Promise.resolve().then(f)})()"),
    "loop in a frame callback": page("requestAnimationFrame(()=>{for(;;){}})"),
    "regular expression without end": page("/^(a+)+$/.test('a'.repeat(50)+'!')"),
    "10,000 timers of 0 ms": page("for(let i=0;i<1e4;i++)setInterval(()=>{},0)"),
    "timers that throw": page("setInterval(()=>{throw new Error('again')},1)"),
    "alert storm": page("for(;;)alert('stop')"),
    "popup storm": page("for(let i=0;i<1e5;i++)window.open('about:blank')"),
    "popups by links": page(
        f"{_CLICK}a.target='_blank';a.href='about:blank';for(let i=0;i<200;i++)a.click()"
    ),
    "WebSocket storm": page("for(let i=0;i<1e4;i++)new WebSocket('ws://127.0.0.1:9/'+i)"),
    "fetch storm": page("for(let i=0;i<1e4;i++)fetch('http://127.0.0.1:9/'+i).catch(()=>{})"),
    "200,000 pixels high": page("", '<div style="height:200000px">'),
    "50,000 pixels wide": page("", '<div style="width:50000px;height:100px">'),
    "10^7 pixels in both": page("", '<div style="width:1e7px;height:1e7px">'),
    "service workers": page(
        "setInterval(()=>navigator.serviceWorker.register('/w.js').catch(()=>{}),10)"
    ),
    "WebRTC": page(
        "try{const c=new RTCPeerConnection({iceServers:[{urls:'stun:127.0.0.1:9'}]});"
        "c.createDataChannel('x');c.createOffer().then(o=>c.setLocalDescription(o))}catch(e){}"
    ),
    "WebRTC of a frame": page(
        "const f=document.createElement('iframe');document.body.append(f);"
        "try{new f.contentWindow.RTCPeerConnection()}catch(e){}"
    ),
    "beforeunload": page(
        "onbeforeunload=e=>{e.preventDefault();return e.returnValue='stay'};"
        "setTimeout(()=>{location='http://127.0.0.1:9/'},500)"
    ),
    "history loop": page("for(let i=0;;i++)history.pushState(i,'','?'+i)"),
    "history back": page("setInterval(()=>history.back(),10)"),
    "reload loop": page("setTimeout(()=>location.reload(),10)"),
    "leaves for about:": page("setTimeout(()=>{location='about:blank'},10)"),
    "leaves for a blob": page(
        "setTimeout(()=>{location=URL.createObjectURL("
        "new Blob(['<h1>else'],{type:'text/html'}))},9)"
    ),
    "meta refresh": page(
        "", head='<meta http-equiv="refresh" content="0;url=http://127.0.0.1:9/">'
    ),
    "form that submits itself": page(
        "document.forms[0].submit()",
        '<form action="http://127.0.0.1:9/" method="post"><input name="a" value="b"></form>',
    ),
    "downloads": page(
        f"{_CLICK}a.download='x.bin';a.href=URL.createObjectURL(new Blob([new Uint8Array(1e6)]));"
        "for(let i=0;i<200;i++)a.click()"
    ),
    "print loop": page("for(let i=0;i<1e5;i++)print()"),
    "memory, objects": page("const held=[];for(;;)held.push(new Array(1e5).fill({}))"),
    "memory, buffers": page(
        "const held=[];setInterval(()=>{for(let i=0;i<64;i++)"
        "held.push(new Uint8Array(2**24).fill(1))},1)"
    ),
    "memory, canvases": page(
        "const held=[];setInterval(()=>{const c=document.createElement('canvas');"
        "c.width=c.height=8000;const x=c.getContext('2d');x.fillRect(0,0,8000,8000);held.push(c)},1)"
    ),
    "100 workers in loops": page(
        "const u=URL.createObjectURL(new Blob(['for(;;){}']));for(let i=0;i<100;i++)new Worker(u)"
    ),
    "workers that fetch": page(
        "const u=URL.createObjectURL(new Blob([\"fetch('http://127.0.0.1:9/w').catch(()=>{});"
        "new WebSocket('ws://127.0.0.1:9/w')\"]));"
        "for(let i=0;i<10;i++)new Worker(u);try{new SharedWorker(u)}catch(e){}"
    ),
    "name hints": page(
        "for(let i=0;i<500;i++)for(const r of ['dns-prefetch','preconnect','prefetch']){"
        "const l=document.createElement('link');l.rel=r;l.href='https://h'+i+'.example.invalid/';"
        "document.head.append(l)}"
    ),
    "a million elements": page(
        "for(let i=0;i<1e6;i++)document.body.append(document.createElement('i'))"
    ),
    "100,000 deep": page(
        "let e=document.body;for(let i=0;i<1e5;i++){const d=document.createElement('b');e.append(d);e=d}"
    ),
    "frames in frames": page(
        "for(let i=0;i<300;i++){const f=document.createElement('iframe');"
        "f.srcdoc='<iframe srcdoc=\"<iframe>\"></iframe>';document.body.append(f)}"
    ),
    "costly filters": page(
        "", '<div style="width:4000px;height:4000px;background:red;filter:blur(900px)">' * 20
    ),
    "document never closed": page("setTimeout(()=>{document.open();document.write('<p>on')},100)"),
    "console storm": page("for(;;)console.log('x'.repeat(1e4))"),
    "long messages": page("for(let i=0;i<50;i++)alert('x'.repeat(1e6)+i)"),
    "builtins replaced": page(
        "Date.now=()=>NaN;Promise=null;Object.prototype.toJSON=()=>1;Array.prototype.map=null;"
        "document.getAnimations=()=>{throw 1};requestAnimationFrame=null;performance.now=()=>1e99;"
        "for(let i=0;i<1e4;i++)__note('request','made up')"
    ),
}
"""By what they do."""


# --- what lies on the machine ---------------------------------------------------------------------

MARK = (255, 0, 255)
"""A colour that is seen where one of the files is."""


def write_marks(folder: Path) -> None:
    """Write files that show `MARK` wherever they are loaded."""
    svg = '<svg xmlns="http://www.w3.org/2000/svg" width="400" height="400">'
    (folder / "mark.svg").write_text(
        f'{svg}<rect id="r" width="400" height="400" fill="#f0f"/></svg>'
    )
    (folder / "mark.html").write_text('<body style="background:#f0f">the machine')
    (folder / "mark.css").write_text("body{background:#f0f !important}")
    (folder / "mark.js").write_text("document.body.style.background='#f0f';export default 1")
    (folder / "plain.js").write_text("document.body.style.background='#f0f'")
    (folder / "worker.js").write_text("postMessage('#f0f')")


_PAINT = "t=>document.body.append(Object.assign(document.createElement('h1'),{textContent:t}))"


def local(folder: str, text: str) -> dict[str, str]:
    """Pages that show files of `folder` (a file: address) or the file `text`, by the way."""
    in_data = (
        f"data:text/html,<body><img src='{folder}/mark.svg'><a id=a href='{folder}/mark.html'>x</a>"
    )
    return {
        "iframe": page(
            "", f'<iframe src="{text}"></iframe><iframe src="{folder}/mark.html"></iframe>'
        ),
        "object": page("", f'<object data="{folder}/mark.svg" type="image/svg+xml"></object>'),
        "embed": page("", f'<embed src="{folder}/mark.html"><embed src="{text}">'),
        "img": page("", f'<img src="{folder}/mark.svg" width="400" height="400">'),
        "svg image": page(
            "", f'<svg><image href="{folder}/mark.svg" width="400" height="400"/></svg>'
        ),
        "svg use": page("", f'<svg><use href="{folder}/mark.svg#r"/></svg>'),
        "svg foreign object": page(
            "",
            f'<svg><foreignObject width="400" height="400"><iframe src="{text}"/></foreignObject></svg>',
        ),
        "video poster": page(
            "", f'<video poster="{folder}/mark.svg" width="400" height="400"></video>'
        ),
        "input image": page("", f'<input type="image" src="{folder}/mark.svg">'),
        "style sheet": page("", head=f'<link rel="stylesheet" href="{folder}/mark.css">'),
        "style import": page("", head=f"<style>@import url('{folder}/mark.css');</style>"),
        "style url": page("", head=f"<style>html{{background:url('{folder}/mark.svg')}}</style>"),
        "style mask": page(
            "", f'<div style="width:99px;height:99px;border-image:url({folder}/mark.svg) 1">'
        ),
        "script": page("", f'<script src="{folder}/plain.js"></script>'),
        "script module": page("", f'<script type="module" src="{folder}/mark.js"></script>'),
        "import()": page(f"import('{folder}/mark.js').catch(()=>{{}})"),
        "fetch": page(f"fetch('{text}').then(r=>r.text()).then({_PAINT}).catch(()=>{{}})"),
        "XMLHttpRequest": page(
            f"const r=new XMLHttpRequest();r.onload=()=>({_PAINT})(r.responseText);"
            f"try{{r.open('GET','{text}');r.send()}}catch(e){{}}"
        ),
        "worker": page(
            f"try{{const w=new Worker('{folder}/worker.js');"
            "w.onmessage=e=>{document.body.style.background=e.data}}catch(e){}"
        ),
        "worker import": page(
            f"const w=new Worker(URL.createObjectURL(new Blob([\"importScripts('{folder}/worker.js')\"])));"
            "w.onmessage=e=>{document.body.style.background=e.data}"
        ),
        "frame of data:": page("", f'<iframe src="{in_data}"></iframe>'),
        "frame of data: that goes on": page(
            "",
            f"<iframe src=\"data:text/html,<script>location='{folder}/mark.html'</script>\"></iframe>",
        ),
        "frame of srcdoc": page(
            "", f"<iframe srcdoc=\"<iframe src='{folder}/mark.html'>\"></iframe>"
        ),
        "frame of a blob": page(
            "const f=document.createElement('iframe');f.src=URL.createObjectURL(new Blob(["
            f"\"<iframe src='{folder}/mark.html'>\"],{{type:'text/html'}}));document.body.append(f)"
        ),
        "meta refresh": page(
            "", head=f'<meta http-equiv="refresh" content="0;url={folder}/mark.html">'
        ),
        "location": page(f"location='{folder}/mark.html'"),
        "link clicked": page(f"{_CLICK}a.href='{folder}/mark.html';a.click()"),
        "window.open": page(f"window.open('{folder}/mark.html','_self')"),
        "form": page("document.forms[0].submit()", f'<form action="{folder}/mark.html"></form>'),
        "base": page(
            "", '<img src="mark.svg"><iframe src="mark.html"></iframe>', f'<base href="{folder}/">'
        ),
        "view-source:": page(
            f"location='view-source:{text}'", f'<iframe src="view-source:{text}"></iframe>'
        ),
        "view-source: of itself": page(
            "", '<iframe src="view-source:http://page.invalid/"></iframe>'
        ),
        "filesystem:": page("", f'<iframe src="filesystem:{folder}/mark.html"></iframe>'),
        "font": page(
            "",
            "x",
            f"<style>@font-face{{font-family:m;src:url('{folder}/m.ttf')}}body{{font:m}}</style>",
        ),
    }


INNER = ("about:version", "about:gpu", "chrome://version", "chrome://gpu", "chrome://settings",
         "chrome://net-internals", "chrome://system", "chrome://crash", "chrome://kill", "chrome://hang",
         "devtools://devtools/bundled/inspector.html", "chrome-extension://x/y",
         "chrome-untrusted://print")  # fmt: skip
"""Addresses of the browser's own pages, which say much about the machine."""


def inner(address: str) -> str:
    """A page that shows one of the browser's own pages and then goes there."""
    return page(
        f"window.open('{address}');setTimeout(()=>{{location='{address}'}},500)",
        f'<iframe src="{address}" width="900" height="600"></iframe>',
    )
