// Runs inside the page before the page's own code; Python puts `const clips`, `gaps_s` and `noise` in front.
// It makes the microphone out of Web Audio, and notes when each frame is on screen and when each voice packet is heard.
(() => {
  const MOUTH = { left: 0.3, top: 0.5, width: 0.4, height: 0.4 }; // of the frame
  const TILE = { width: 48, height: 48 };
  const context = new AudioContext({ sampleRate: 48000, sinkId: { type: "none" } });
  const microphone = context.createMediaStreamDestination();
  const nothing = () => ({ frames: [], tiles: [], voice: [], onsets: [], ends: [], clock: [] });
  let fresh = nothing();
  let watched = null;
  const peers = [];

  const decode = (base64) => {
    const bytes = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
    const levels = new Int16Array(bytes.buffer);
    const buffer = context.createBuffer(1, levels.length, 48000);
    buffer.getChannelData(0).set(Float32Array.from(levels, (v) => v / 32768));
    return buffer;
  };
  const play = (buffer, at, loop = false) => {
    const source = new AudioBufferSourceNode(context, { buffer, loop });
    source.connect(microphone);
    source.start(at);
  };

  navigator.mediaDevices.getUserMedia = async () => {
    await context.resume();
    return new MediaStream(microphone.stream.getAudioTracks().map((track) => track.clone()));
  };
  play(decode(noise), 0, true);
  const sounds = clips.map((clip) => ({ ...clip, buffer: decode(clip.pcm) })); // now, not in the midst of the call

  // Not getOutputTimestamp: that is when a loudspeaker would play the sample, tens of ms after the encoder had it.
  const readClock = () => {
    if (context.state === "running") fresh.clock.push([context.currentTime * 1000, performance.now()]);
    setTimeout(readClock, 10 + 20 * Math.random());
  };
  readClock();

  const speak = () => {
    let turn = 0;
    let nextS = context.currentTime + gaps_s[0];
    const schedule = () => {
      while (nextS < context.currentTime + 1) {
        const sound = sounds[turn % sounds.length];
        play(sound.buffer, nextS);
        fresh.onsets.push(...sound.onsets_s.map((s) => (nextS + s) * 1000));
        fresh.ends.push((nextS + sound.end_s) * 1000);
        turn += 1;
        nextS += sound.buffer.duration + gaps_s[turn % gaps_s.length];
      }
    };
    schedule();
    setInterval(schedule, 250);
  };

  const canvas = new OffscreenCanvas(TILE.width, TILE.height);
  const pencil = canvas.getContext("2d", { willReadFrequently: true });
  const luma = (video) => {
    const { videoWidth: w, videoHeight: h } = video;
    const mouth = [MOUTH.left * w, MOUTH.top * h, MOUTH.width * w, MOUTH.height * h];
    pencil.drawImage(video, ...mouth, 0, 0, TILE.width, TILE.height);
    const { data } = pencil.getImageData(0, 0, TILE.width, TILE.height);
    let text = "";
    for (let i = 0; i < data.length; i += 4) {
      text += String.fromCharCode(0.299 * data[i] + 0.587 * data[i + 1] + 0.114 * data[i + 2]);
    }
    return btoa(text); // one byte a pixel, in rows: 48 x 48 divides by 3, so the pieces join without padding
  };
  const watch = (video) => {
    const note = (now, frame) => {
      fresh.frames.push([frame.rtpTimestamp ?? -1, frame.expectedDisplayTime, frame.receiveTime ?? now]);
      fresh.tiles.push(luma(video));
      if (watched === video) video.requestVideoFrameCallback(note);
    };
    watched = video;
    video.requestVideoFrameCallback(note);
  };
  const videos = (root) => [...root.querySelectorAll("*")].flatMap((element) =>
    element instanceof HTMLVideoElement ? [element] : element.shadowRoot ? videos(element.shadowRoot) : []);
  const onClockOfPage = (ms) => (ms > 1e11 ? ms - performance.timeOrigin : ms);

  const Peer = window.RTCPeerConnection;
  window.RTCPeerConnection = class extends Peer {
    constructor(...args) {
      super(...args);
      peers.push(this);
    }
  };
  const look = () => {
    const video = videos(document).find((v) => v.videoWidth > 0);
    if (video && video !== watched) watch(video);
    const heard = peers.at(-1)?.getReceivers().find((r) => r.track.kind === "audio")?.getSynchronizationSources()[0];
    if (heard?.rtpTimestamp === undefined) return;
    fresh.voice.push([heard.rtpTimestamp, onClockOfPage(heard.timestamp) + (window.visavis?.output_latency_ms ?? 0)]);
  };
  setInterval(look, 100);

  window.visavisProbe = {
    speak,
    drain: () => {
      const { tiles, ...rest } = fresh;
      fresh = nothing();
      const { hello = null, stats = null, server_onsets = [], connections = 0 } = window.visavis ?? {};
      const heard = server_onsets.slice(-100);
      return { ...rest, tiles: tiles.join(""), hello, stats, heard, connections };
    },
    receivers: async () => {
      const reports = [...((await peers.at(-1)?.getStats()) ?? new Map()).values()];
      return reports.filter((report) => report.type === "inbound-rtp");
    },
  };
})();
