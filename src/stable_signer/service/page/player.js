// The player: shows a video while it is still being made, and replays, steps, loops and mirrors it.

const HEAD = 65536; // bytes in which the codec's description must come

export class Player {
  // video: the element. onTime(seconds): called while it plays. onState(): called when a button should change.
  constructor(video, { onTime, onState }) {
    this.video = video;
    this.onTime = onTime;
    this.onState = onState;
    this.fps = 25;
    this.span = null; // [start, end] of the sign that is replayed
    this.loop = false;
    this.rate = 1;
    this.url = null;
    const tick = () => {
      this.watch();
      requestAnimationFrame(tick);
    };
    requestAnimationFrame(tick);
    for (const name of ["play", "pause", "ended", "loadeddata", "durationchange"]) {
      video.addEventListener(name, () => this.onState());
    }
    video.addEventListener("ended", () => {
      if (this.loop) this.play(0);
    });
  }

  // Show what a response streams. Resolves when all of it has come; `first` is called at the first picture.
  async show(response, { first, autoplay }) {
    this.clear();
    const { video } = this;
    video.addEventListener("loadeddata", () => first(), { once: true });
    const reader = response.body.getReader();
    const chunks = [];
    let source = null;
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      chunks.push(value);
      if (source) source.append(value);
      else if (source === null) {
        const codec = codecOf(chunks);
        if (codec) {
          const type = `video/mp4; codecs="${codec}"`;
          source = window.MediaSource && MediaSource.isTypeSupported(type) ? await open(video, type, this) : false;
          if (source) {
            chunks.forEach((chunk) => source.append(chunk));
            if (autoplay) video.play().catch(() => {});
          }
        }
      }
    }
    if (source) await source.end();
    else {
      this.url = URL.createObjectURL(new Blob(chunks, { type: "video/mp4" }));
      video.src = this.url;
      if (autoplay) video.play().catch(() => {});
    }
    this.onState();
  }

  clear() {
    this.video.removeAttribute("src");
    this.video.load();
    if (this.url) URL.revokeObjectURL(this.url);
    this.url = null;
    this.span = null;
  }

  get ready() {
    return this.video.readyState >= 1;
  }

  get length() {
    return Number.isFinite(this.video.duration) ? this.video.duration : this.buffered;
  }

  get buffered() {
    const { buffered } = this.video;
    return buffered.length ? buffered.end(buffered.length - 1) : 0;
  }

  play(from = null) {
    this.span = null;
    this.video.playbackRate = this.rate;
    if (from !== null) this.video.currentTime = from;
    else if (this.video.ended) this.video.currentTime = 0;
    this.video.play().catch(() => {});
  }

  toggle() {
    if (this.video.paused) this.play();
    else {
      this.span = null;
      this.video.pause();
    }
  }

  seek(seconds) {
    this.span = null;
    this.video.currentTime = Math.max(0, Math.min(seconds, this.length));
  }

  step(frames) {
    this.video.pause();
    const at = Math.round(this.video.currentTime * this.fps - 0.5) + frames + 0.5; // the middle of a frame
    this.seek(at / this.fps);
  }

  replay(start, end) {
    this.span = [Math.max(0, start - 0.15), end + 0.15];
    this.video.playbackRate = 0.35;
    this.video.currentTime = this.span[0];
    this.video.play().catch(() => {});
  }

  setRate(rate) {
    this.rate = rate;
    if (!this.span) this.video.playbackRate = rate;
  }

  watch() {
    const { video } = this;
    if (!this.ready) return;
    if (this.span && !video.paused && (video.currentTime >= this.span[1] || video.ended)) {
      if (this.loop) video.currentTime = this.span[0];
      else {
        this.span = null;
        video.pause();
        video.playbackRate = this.rate;
      }
    }
    this.onTime(video.currentTime);
  }
}

// H.264's profile, compatibility and level as the codec string wants them, from the avcC box.
function codecOf(chunks) {
  let size = 0;
  for (const chunk of chunks) size += chunk.length;
  const bytes = new Uint8Array(Math.min(size, HEAD));
  let at = 0;
  for (const chunk of chunks) {
    const part = chunk.subarray(0, bytes.length - at);
    bytes.set(part, at);
    at += part.length;
    if (at >= bytes.length) break;
  }
  for (let i = 0; i + 8 < bytes.length; i++) {
    if (bytes[i] === 0x61 && bytes[i + 1] === 0x76 && bytes[i + 2] === 0x63 && bytes[i + 3] === 0x43) {
      const hex = (n) => n.toString(16).padStart(2, "0");
      return `avc1.${hex(bytes[i + 5])}${hex(bytes[i + 6])}${hex(bytes[i + 7])}`;
    }
  }
  return null;
}

async function open(video, type, player) {
  const media = new MediaSource();
  player.url = URL.createObjectURL(media);
  video.src = player.url;
  await new Promise((resolve) => media.addEventListener("sourceopen", resolve, { once: true }));
  const buffer = media.addSourceBuffer(type);
  const waiting = [];
  let finish = null;
  const next = () => {
    if (buffer.updating || media.readyState !== "open") return;
    if (waiting.length) buffer.appendBuffer(waiting.shift());
    else if (finish) {
      media.endOfStream();
      finish();
    }
  };
  buffer.addEventListener("updateend", next);
  return {
    append(chunk) {
      waiting.push(chunk);
      next();
    },
    end() {
      return new Promise((resolve) => {
        finish = resolve;
        if (media.readyState !== "open") resolve(); // another video has taken its place
        else next();
      });
    },
  };
}
